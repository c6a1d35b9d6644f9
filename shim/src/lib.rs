//! A TCP link made slow on purpose, for tests and benchmarks: delay, rate and loss between a client and a server.
//!
//! This is what `tc netem` does where a kernel has it. Not a part of the product.
