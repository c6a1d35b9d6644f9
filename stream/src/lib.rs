//! Everything between a player and the bytes of a file: what a `Range` header means, what goes into the
//! answer, how far ahead to fetch, and the HTTP server that does it on real sockets.
//!
//! Not here: torrents, pieces, peers, users, the JSON API. The server takes a [`Library`] that opens
//! files by an opaque id and lends verified bytes, and a closure for every route that isn't media.
//!
//! Beside the answers stands what one viewing is: its `token` in the URL, its `session` of many connections, the `pace` at which it is
//! sent bytes, what its file really is (`magic`), and whether a viewer behaves so at all (`suspicion`). Machines and tables; whoever
//! owns the library drives them.
//!
//! `body`, `respond` and `server` stand on tokio and hyper, `outlet` on the system. All else is pure: no clock, no sockets, no
//! tasks.

pub mod body;
pub mod conditions;
pub mod library;
pub mod limits;
pub mod magic;
pub mod media_type;
pub mod multipart;
mod outlet;
pub mod pace;
pub mod problem;
pub mod range;
pub mod reply;
pub mod respond;
pub mod server;
pub mod session;
pub mod suspicion;
pub mod token;
pub mod verdict;
pub mod window;

pub use body::{BoxError, ResponseBody};
pub use library::{FilePart, Library, Media, MediaFacts, MediaRequest, OpenError, ReadError, Reader};
pub use media_type::{Kind, MediaType, media_type};
pub use pace::Pace;
pub use problem::Problem;
pub use respond::respond;
pub use server::{
    BaseUrl, HostPolicy, ProxyPolicy, RemoteAddr, RequestId, RequestUser, Server, ServerConfig,
};
#[cfg(feature = "tls")]
pub use server::{Tls, TlsError, TlsSettings};
pub use session::{Place, Session};
pub use suspicion::Suspicions;
pub use token::{MediaKey, MediaToken, SessionId};
pub use verdict::{Verdict, verdict};
pub use window::{Window, WindowConfig};
