#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| afflux_fuzz::media::ffprobe_report(data));
