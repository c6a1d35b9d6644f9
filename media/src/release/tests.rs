//! Names invented for these tests.
