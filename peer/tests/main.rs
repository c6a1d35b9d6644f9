//! Conversations: two machines against each other, and one against a hostile peer. One binary, so that the
//! harness is built once.

mod attacks;
mod metadata_travels_between_peers;
mod pair;
mod request_depth_follows_the_path;
mod timers_end_what_is_dead;
mod two_machines_move_a_torrent;
