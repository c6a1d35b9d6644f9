//! Bodies.

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;

/// An error of any body.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The body of every response: media, JSON and problems alike.
pub type ResponseBody = UnsyncBoxBody<Bytes, BoxError>;
