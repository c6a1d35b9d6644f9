//! Block pool, byte ledger, piece cache, hasher and files of Afflux
