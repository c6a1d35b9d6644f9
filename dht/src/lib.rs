//! One Kademlia node of the BitTorrent DHT as a pure state machine
