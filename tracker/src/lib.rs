//! BitTorrent tracker announces over HTTP and UDP as pure code
