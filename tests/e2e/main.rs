//! Films, faults and bad input, end to end.
