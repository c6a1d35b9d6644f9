//! One BitTorrent conversation as a pure state machine
