//! What a name can say: the words, each once, with how it is written for people and programs.

use std::fmt;

macro_rules! vocabulary {
    ($(#[$about:meta])* $name:ident { $($(#[$meaning:meta])* $word:ident = $text:literal,)* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$meaning])* $word,)*
        }

        impl $name {
            /// As it is written.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$word => $text,)*
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

vocabulary! {
    /// Lines of the picture, whole (`p`) or in halves (`i`), in order.
    Resolution {
        /// 240 lines.
        P240 = "240p",
        /// 360 lines.
        P360 = "360p",
        /// 480 lines in halves: NTSC.
        I480 = "480i",
        /// 480 lines.
        P480 = "480p",
        /// 540 lines.
        P540 = "540p",
        /// 576 lines in halves: PAL.
        I576 = "576i",
        /// 576 lines.
        P576 = "576p",
        /// 720 lines.
        P720 = "720p",
        /// 1080 lines in halves.
        I1080 = "1080i",
        /// 1080 lines.
        P1080 = "1080p",
        /// 1440 lines.
        P1440 = "1440p",
        /// 1920 lines, as films for two eyes have.
        P1920 = "1920p",
        /// 2160 lines: 4K, Ultra HD.
        P2160 = "2160p",
        /// 4320 lines: 8K.
        P4320 = "4320p",
    }
}

vocabulary! {
    /// Where the pictures come from.
    Source {
        /// A camera in a cinema.
        Cam = "CAM",
        /// A camera in a cinema, with sound by wire.
        TeleSync = "TeleSync",
        /// Scanned from film.
        TeleCine = "TeleCine",
        /// A copy for the press.
        Screener = "SCR",
        /// A tape.
        VhsRip = "VHSRip",
        /// From a DVD, as it is.
        Dvd = "DVD",
        /// From a DVD, encoded again.
        DvdRip = "DVDRip",
        /// From an HD DVD.
        HdDvd = "HDDVD",
        /// From television.
        TvRip = "TVRip",
        /// From a satellite.
        SatRip = "SATRip",
        /// From television that one pays for by the film.
        Ppv = "PPV",
        /// From television in high definition.
        Hdtv = "HDTV",
        /// The same, encoded again.
        HdtvRip = "HDTVRip",
        /// From somewhere in high definition, encoded again.
        HdRip = "HDRip",
        /// From a service, which way isn't said.
        Web = "WEB",
        /// From a service, as it was sent.
        WebDl = "WEB-DL",
        /// From a service, encoded again.
        WebRip = "WEBRip",
        /// From a Blu-ray disc, encoded again, perhaps more than once.
        BdRip = "BDRip",
        /// From a Blu-ray disc.
        BluRay = "BluRay",
        /// From a disc, in another container.
        Remux = "REMUX",
    }
}

vocabulary! {
    /// A kind of source.
    Family {
        /// A camera in a cinema.
        Cam = "cam",
        /// The same with better sound.
        TeleSync = "telesync",
        /// Scanned from film.
        TeleCine = "telecine",
        /// For the press.
        Screener = "screener",
        /// A tape.
        Vhs = "vhs",
        /// A DVD.
        Dvd = "dvd",
        /// An HD DVD.
        HdDvd = "hddvd",
        /// Television.
        Tv = "tv",
        /// Television by the film.
        Ppv = "ppv",
        /// High definition, which isn't said.
        HdRip = "hdrip",
        /// A service.
        Web = "web",
        /// A Blu-ray disc.
        BluRay = "bluray",
    }
}

impl Source {
    /// Its kind.
    pub const fn family(self) -> Family {
        match self {
            Self::Cam => Family::Cam,
            Self::TeleSync => Family::TeleSync,
            Self::TeleCine => Family::TeleCine,
            Self::Screener => Family::Screener,
            Self::VhsRip => Family::Vhs,
            Self::Dvd | Self::DvdRip => Family::Dvd,
            Self::HdDvd => Family::HdDvd,
            Self::TvRip | Self::SatRip | Self::Hdtv | Self::HdtvRip => Family::Tv,
            Self::Ppv => Family::Ppv,
            Self::HdRip => Family::HdRip,
            Self::Web | Self::WebDl | Self::WebRip => Family::Web,
            Self::BdRip | Self::BluRay | Self::Remux => Family::BluRay,
        }
    }
}

vocabulary! {
    /// How the pictures are encoded.
    VideoCodec {
        /// H.264.
        Avc = "avc",
        /// H.265.
        Hevc = "hevc",
        /// AV1.
        Av1 = "av1",
        /// VP8.
        Vp8 = "vp8",
        /// VP9.
        Vp9 = "vp9",
        /// Xvid.
        Xvid = "xvid",
        /// DivX.
        Divx = "divx",
        /// MPEG-2.
        Mpeg2 = "mpeg2",
        /// VC-1.
        Vc1 = "vc1",
    }
}

vocabulary! {
    /// How the sound is encoded.
    Audio {
        /// AAC.
        Aac = "aac",
        /// Dolby Digital.
        Ac3 = "ac3",
        /// Dolby Digital Plus.
        Eac3 = "eac3",
        /// Dolby TrueHD.
        TrueHd = "truehd",
        /// Dolby Atmos, over one of Dolby's others.
        Atmos = "atmos",
        /// DTS.
        Dts = "dts",
        /// DTS-HD, both of its kinds.
        DtsHd = "dts-hd",
        /// DTS:X.
        DtsX = "dts-x",
        /// FLAC.
        Flac = "flac",
        /// Opus.
        Opus = "opus",
        /// Vorbis.
        Vorbis = "vorbis",
        /// MPEG audio, layer 2.
        Mp2 = "mp2",
        /// MPEG audio, layer 3.
        Mp3 = "mp3",
        /// Samples as they are.
        Pcm = "pcm",
    }
}

vocabulary! {
    /// How bright the pictures get.
    Hdr {
        /// HDR10, or one that isn't said.
        Hdr = "hdr",
        /// HDR10+.
        Hdr10Plus = "hdr10+",
        /// Dolby Vision.
        DolbyVision = "dv",
        /// Hybrid log-gamma.
        Hlg = "hlg",
        /// Not at all, said aloud.
        Sdr = "sdr",
    }
}

vocabulary! {
    /// Which cut of the film.
    Edition {
        /// The director's.
        Directors = "Director's Cut",
        /// Longer.
        Extended = "Extended",
        /// As in cinemas.
        Theatrical = "Theatrical",
        /// As no board saw it.
        Unrated = "Unrated",
        /// With nothing taken out.
        Uncut = "Uncut",
        /// The last one.
        Final = "Final Cut",
        /// All there is.
        Ultimate = "Ultimate",
        /// For a birthday.
        Anniversary = "Anniversary",
        /// For collectors.
        Collectors = "Collector's Edition",
        /// Of the Criterion Collection.
        Criterion = "Criterion",
        /// Special, without saying why.
        Special = "Special Edition",
        /// As IMAX showed it.
        Imax = "IMAX",
        /// Without the black bars.
        OpenMatte = "Open Matte",
        /// From the film again.
        Remastered = "Remastered",
    }
}
