#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| afflux_fuzz::broadcast::parameter_sets(data));
