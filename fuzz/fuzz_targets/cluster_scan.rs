#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| afflux_fuzz::matroska::cluster_scan(data));
