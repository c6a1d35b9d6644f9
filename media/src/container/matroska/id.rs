//! The elements that are looked at (RFC 9559, section 5; the header's are in RFC 8794, section 11.2).

pub(super) const EBML: u32 = 0x1A45_DFA3;
pub(super) const DOC_TYPE: u32 = 0x4282;

pub(super) const SEGMENT: u32 = 0x1853_8067;

pub(super) const SEEK_HEAD: u32 = 0x114D_9B74;
pub(super) const SEEK: u32 = 0x4DBB;
pub(super) const SEEK_ID: u32 = 0x53AB;
pub(super) const SEEK_POSITION: u32 = 0x53AC;

pub(super) const INFO: u32 = 0x1549_A966;
pub(super) const TIMESTAMP_SCALE: u32 = 0x2A_D7B1;
pub(super) const DURATION: u32 = 0x4489;

pub(super) const TRACKS: u32 = 0x1654_AE6B;
pub(super) const TRACK_ENTRY: u32 = 0xAE;
pub(super) const TRACK_NUMBER: u32 = 0xD7;
pub(super) const TRACK_TYPE: u32 = 0x83;
pub(super) const FLAG_DEFAULT: u32 = 0x88;
pub(super) const FLAG_FORCED: u32 = 0x55AA;
pub(super) const FLAG_HEARING_IMPAIRED: u32 = 0x55AB;
pub(super) const DEFAULT_DURATION: u32 = 0x23_E383;
pub(super) const NAME: u32 = 0x536E;
pub(super) const LANGUAGE: u32 = 0x22_B59C;
pub(super) const LANGUAGE_BCP47: u32 = 0x22_B59D;
pub(super) const CODEC_ID: u32 = 0x86;
pub(super) const CODEC_PRIVATE: u32 = 0x63A2;
pub(super) const BLOCK_ADDITION_MAPPING: u32 = 0x41E4;
pub(super) const BLOCK_ADD_ID_TYPE: u32 = 0x41E7;

pub(super) const VIDEO: u32 = 0xE0;
pub(super) const PIXEL_WIDTH: u32 = 0xB0;
pub(super) const PIXEL_HEIGHT: u32 = 0xBA;
pub(super) const COLOUR: u32 = 0x55B0;
pub(super) const TRANSFER_CHARACTERISTICS: u32 = 0x55BA;

pub(super) const AUDIO: u32 = 0xE1;
pub(super) const SAMPLING_FREQUENCY: u32 = 0xB5;
pub(super) const OUTPUT_SAMPLING_FREQUENCY: u32 = 0x78B5;
pub(super) const CHANNELS: u32 = 0x9F;

pub(super) const CONTENT_ENCODINGS: u32 = 0x6D80;
pub(super) const CONTENT_ENCODING: u32 = 0x6240;
pub(super) const CONTENT_ENCODING_SCOPE: u32 = 0x5032;
pub(super) const CONTENT_ENCODING_TYPE: u32 = 0x5033;
pub(super) const CONTENT_COMPRESSION: u32 = 0x5034;
pub(super) const CONTENT_COMP_ALGO: u32 = 0x4254;
pub(super) const CONTENT_COMP_SETTINGS: u32 = 0x4255;

pub(super) const CUES: u32 = 0x1C53_BB6B;
pub(super) const CUE_POINT: u32 = 0xBB;
pub(super) const CUE_TIME: u32 = 0xB3;
pub(super) const CUE_TRACK_POSITIONS: u32 = 0xB7;
pub(super) const CUE_TRACK: u32 = 0xF7;
pub(super) const CUE_CLUSTER_POSITION: u32 = 0xF1;

pub(super) const CLUSTER: u32 = 0x1F43_B675;
pub(super) const TIMESTAMP: u32 = 0xE7;
pub(super) const POSITION: u32 = 0xA7;
pub(super) const PREV_SIZE: u32 = 0xAB;
pub(super) const SIMPLE_BLOCK: u32 = 0xA3;
pub(super) const BLOCK_GROUP: u32 = 0xA0;
pub(super) const BLOCK: u32 = 0xA1;
pub(super) const BLOCK_DURATION: u32 = 0x9B;
pub(super) const BLOCK_ADDITIONS: u32 = 0x75A1;
pub(super) const BLOCK_MORE: u32 = 0xA6;
pub(super) const BLOCK_ADDITIONAL: u32 = 0xA5;
pub(super) const BLOCK_ADD_ID: u32 = 0xEE;

pub(super) const CHAPTERS: u32 = 0x1043_A770;
pub(super) const ATTACHMENTS: u32 = 0x1941_A469;
pub(super) const TAGS: u32 = 0x1254_C367;

/// RFC 8794, section 11.3.1: may stand first in any parent.
pub(super) const CRC_32: u32 = 0xBF;
/// RFC 8794, section 11.3.2: may stand anywhere.
pub(super) const VOID: u32 = 0xEC;

/// Whether an element is a child of the Segment, so that it ends a Cluster whose size is unknown (RFC 8794, section 6.2).
pub(super) fn is_of_segment(id: u32) -> bool {
    matches!(id, SEEK_HEAD | INFO | TRACKS | CUES | CLUSTER | CHAPTERS | ATTACHMENTS | TAGS)
}
