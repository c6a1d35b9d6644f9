//! How the engine's threads share processors with each other and with everything else on the machine.

/// Has a thread of the engine wait for its turn: it doesn't take a processor from whoever runs there just because something
/// came for it.
///
/// A block is received, hashed and written by three threads that wake each other, and more than that many rarely have a core
/// each. With the usual policy a reader of sockets that is woken interrupts the hash it was woken beside, for a few blocks each
/// time. Measured on two cores, 1 GiB from a seeder on the same machine: 8,300 switches of context, 1.18 s of processor time
/// and 0.98 s without this; 2,250, 1.01 s and 0.87 s with it. Lower priorities for hashing and writing made it worse (up to
/// 1.51 s). What is given up is a turn of some milliseconds while all cores are busy, also in favour of a player on this machine.
///
/// A system that refuses leaves it at the usual policy; only speed is lost.
pub fn take_turns() {
    crate::system::schedule_as_batch();
}
