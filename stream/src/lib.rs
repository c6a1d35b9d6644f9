//! Everything between a player and bytes: ranges, windows, bodies and the HTTP server
