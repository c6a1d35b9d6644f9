//! Why the service doesn't do what it was asked: a stable code, and a sentence that says what to do.
//!
//! All codes are here, with the HTTP status that goes with each, so that the API, its description and its tests share one
//! list. Errors of media routes have theirs in `afflux_stream::problem`.

use std::fmt;
use std::time::Duration;

use crate::failure::Failure;

macro_rules! codes {
    ($($(#[doc = $doc:literal])* $name:ident = $code:literal, $status:literal;)*) => {
        /// What kind of refusal it is. Codes never change.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Code {
            $($(#[doc = $doc])* $name,)*
        }

        impl Code {
            /// All of them.
            pub const ALL: &[Code] = &[$(Code::$name,)*];

            /// What programs may rely on.
            pub fn as_str(self) -> &'static str {
                match self { $(Code::$name => $code,)* }
            }

            /// The HTTP status that goes with it.
            pub fn status(self) -> u16 {
                match self { $(Code::$name => $status,)* }
            }

            /// A short sentence, the same for every case.
            pub fn title(self) -> &'static str {
                match self { $(Code::$name => concat!($($doc),*).trim_ascii(),)* }
            }
        }
    };
}

codes! {
    /// The request can't be understood
    BadRequest = "bad_request", 400;
    /// This is no info-hash
    BadHash = "bad_hash", 400;
    /// The request's body is too large
    TooLarge = "too_large", 413;
    /// The body's media type isn't taken here
    UnsupportedMediaType = "unsupported_media_type", 415;
    /// The magnet link, URL or .torrent can't be used
    BadSource = "bad_source", 422;
    /// This kind of torrent can't be transferred
    UnsupportedTorrent = "unsupported_torrent", 422;
    /// There is no such route
    NoRoute = "not_found", 404;
    /// The route doesn't know this method
    MethodNotAllowed = "method_not_allowed", 405;
    /// This torrent isn't known
    UnknownTorrent = "unknown_torrent", 404;
    /// There is no such stream
    NoStream = "no_stream", 404;
    /// The torrent has no such file
    NoFile = "no_such_file", 404;
    /// There is no such download
    NoDownload = "no_download", 404;
    /// Nothing is remembered of watching this
    NotWatched = "not_watched", 404;
    /// There is no such user
    NoUser = "no_user", 404;
    /// The place to seek to lies outside of the file
    OutOfRange = "out_of_range", 422;
    /// Others use this torrent
    InUse = "in_use", 409;
    /// Torrents that are kept like this have no choice
    NotForThisStorage = "not_for_this_storage", 409;
    /// This can't be changed now
    Conflict = "conflict", 409;
    /// The source policy forbids this
    SourceRefused = "source_refused", 403;
    /// The file is dangerous
    ContentBlocked = "content_blocked", 403;
    /// This account is disabled
    UserDisabled = "user_disabled", 403;
    /// The token doesn't allow this
    Forbidden = "forbidden", 403;
    /// Too many streams at once
    TooManyStreams = "too_many_streams", 429;
    /// Too many downloads
    TooManyDownloads = "too_many_downloads", 429;
    /// Too many metadata fetches at once
    TooManyFetches = "too_many_fetches", 429;
    /// Too many requests
    RateLimited = "rate_limited", 429;
    /// The day's quota is used up
    QuotaUsed = "quota_used", 429;
    /// This looks like abuse
    Suspicious = "suspicious", 429;
    /// The .torrent can't be fetched
    FetchFailed = "fetch_failed", 502;
    /// No peer gave the metadata in time
    NoMetadata = "no_metadata", 504;
    /// No peer has sent these bytes yet
    NotThere = "not_there_yet", 504;
    /// The torrent can't go on
    TorrentFailed = "torrent_failed", 503;
    /// What is remembered can't be read or written
    Database = "database_unavailable", 503;
    /// The daemon is full
    Full = "full", 503;
    /// Something went wrong in the daemon
    Internal = "internal", 500;
}

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What kind it is.
    pub code: Code,
    /// What went wrong this time, and what to do.
    pub detail: String,
    /// When to try again, where that is known.
    pub retry_after: Option<Duration>,
}

impl Refusal {
    /// A refusal with a sentence about this case.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), retry_after: None }
    }

    /// The same, with a time after which it may be different.
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// What a command or the engine said, under a code.
    pub(crate) fn from_failure(code: Code, failure: &Failure) -> Self {
        Self::new(code, failure.to_string())
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for Refusal {}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn codes_are_unique_words_and_have_a_sentence() {
        let mut seen = BTreeSet::new();
        for code in Code::ALL {
            let word = code.as_str();
            assert!(seen.insert(word), "{word} twice");
            assert!(word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{word}");
            assert!((400..=504).contains(&code.status()), "{word}");
            assert!(!code.title().is_empty() && !code.title().ends_with('.'), "{word}");
        }
    }
}
