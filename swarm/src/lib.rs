//! One torrent's mind: picker, piece table, choker, roster and rates, as pure state machines
