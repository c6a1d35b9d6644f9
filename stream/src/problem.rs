//! Problem documents (RFC 9457).

use std::borrow::Cow;

use http::StatusCode;

/// An error as a client sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The HTTP status.
    pub status: StatusCode,
    /// What programs may rely on; never changes.
    pub code: &'static str,
    /// A short sentence for people, the same for every case of the code.
    pub title: &'static str,
    /// What went wrong this time.
    pub detail: Cow<'static, str>,
}
