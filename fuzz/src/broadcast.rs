//! Targets of the media crate: streams of pictures.

use afflux_media::container::parameter_sets::{
    avc_configuration, avc_stream, hevc_configuration, hevc_stream, mpeg2_stream,
};
use afflux_media::limits::{FRAME_RATE_MAX, PICTURE_SIDE_MAX};

/// A stream of pictures, or a decoder's configuration.
///
/// What any of them says is a size that pictures have and a rate that they may be shown at.
pub fn parameter_sets(data: &[u8]) {
    for read in [avc_stream, hevc_stream, mpeg2_stream, avc_configuration, hevc_configuration] {
        let Some(video) = read(data) else { continue };
        let sides = 1..=PICTURE_SIDE_MAX;
        assert!(sides.contains(&video.width) && sides.contains(&video.height), "{video:?}");
        assert!(video.frame_rate.is_none_or(|rate| rate > 0.0 && rate <= FRAME_RATE_MAX), "{video:?}");
    }
}
