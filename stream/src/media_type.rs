//! What a file is, by its name.

/// What a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Kind {
    Video,
    Audio,
    Subtitle,
    Image,
    Text,
    Archive,
    Executable,
    Other,
}

/// A file's media type and what it may do in a browser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediaType {
    /// The media type by the file's extension.
    pub mime: &'static str,
    /// What the file is for.
    pub kind: Kind,
    /// Whether a browser may show it; all else is served as an attachment of unknown type.
    pub inline: bool,
}

/// The type of the file called `name` (a name or a path; case doesn't matter).
pub fn media_type(name: &str) -> MediaType {
    let _ = name;
    todo!()
}
