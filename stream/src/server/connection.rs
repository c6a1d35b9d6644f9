//! One connection: hyper's machine, the dispatcher in front of the routes, and the patience with its client.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Method, Request, Response, Version};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::access::{Line, REQUEST_ID, RequestId};
use super::forwarded::{self, BaseUrl, Believed};
use super::harden::harden;
use super::wire::{Socket, Wire};
use super::{RemoteAddr, ServerConfig, guard, is_media};
use crate::body::{BoxError, ResponseBody};
use crate::library::{Library, MediaRequest};
use crate::limits::{
    CONNECTION_BUFFER_BYTES, H2_STREAMS_MAX, HANG_UP_LOOK, HEADER_BYTES_MAX, HEADERS_MAX, IDLE_MAX,
};
use crate::outlet::Outlet;
use crate::problem::Problem;
use crate::reply;
use crate::respond::{respond, without_media};

/// What all connections have in common.
pub(super) struct Shared<L, S> {
    config: ServerConfig,
    library: Arc<L>,
    json: S,
    http: auto::Builder<TokioExecutor>,
}

impl<L, S> Shared<L, S> {
    pub(super) fn new(mut config: ServerConfig, library: Arc<L>, json: S) -> Shared<L, S> {
        // Whoever named a public URL wants to be reached by it.
        config.hosts.names.extend(config.proxies.public_url.as_ref().map(|url| url.host().to_owned()));
        let mut http = auto::Builder::new(TokioExecutor::new());
        http.http1()
            .timer(TokioTimer::new())
            .header_read_timeout(config.header_timeout)
            .max_headers(HEADERS_MAX)
            // Frames are queued, never copied: an outlet depends on it.
            .writev(true)
            .max_buf_size(CONNECTION_BUFFER_BYTES);
        http.http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(H2_STREAMS_MAX)
            .max_header_list_size(HEADER_BYTES_MAX as u32)
            .max_send_buf_size(CONNECTION_BUFFER_BYTES)
            .keep_alive_interval(IDLE_MAX);
        Shared { config, library, json, http }
    }
}

/// Serves one connection to its end.
pub(super) async fn serve<L, S, F>(
    shared: Arc<Shared<L, S>>,
    socket: Socket,
    remote: SocketAddr,
    shutdown: CancellationToken,
) where
    L: Library,
    S: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<ResponseBody>> + Send + 'static,
{
    let ends = Ends { remote, local: socket.tcp().local_addr().ok(), secure: socket.is_secure() };
    let activity = Arc::new(Activity::default());
    let outlet = Outlet::default();
    let service = {
        let (shared, activity, outlet) = (shared.clone(), activity.clone(), outlet.clone());
        service_fn(move |mut request: Request<Incoming>| {
            // HTTP/2 copies frames, and mixes those of several answers; TLS has to see them.
            if Outlet::WORKS && !ends.secure && request.version() <= Version::HTTP_11 {
                request.extensions_mut().insert(outlet.clone());
            }
            let turn = Turn::begin(&activity);
            let shared = shared.clone();
            async move {
                let (response, line) = answer(&shared, request, ends).await;
                Ok::<_, Infallible>(response.map(|body| counted(body, turn, line)))
            }
        })
    };
    let (wire, hung_up) = Wire::new(socket, outlet);
    let mut connection = pin!(shared.http.serve_connection(TokioIo::new(wire), service));
    let mut closing = false;
    let mut patience = Patience::new(shared.config.header_timeout);
    let mut look = tokio::time::interval(HANG_UP_LOOK);
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "an HTTP connection was cut");
                }
                return;
            }
            () = shutdown.cancelled(), if !closing => {
                closing = true;
                connection.as_mut().graceful_shutdown();
            }
            // Noted by a flush: hyper was polled after the client left, and didn't see it.
            _ = look.tick() => if hung_up.is_seen() {
                return;
            },
            verdict = patience.judge(&activity) => match verdict {
                Impatience::Silent => return,
                Impatience::Idle if closing => return,
                Impatience::Idle => {
                    closing = true;
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
    }
}

/// The two ends of a connection, as the socket knows them.
#[derive(Clone, Copy)]
struct Ends {
    remote: SocketAddr,
    local: Option<SocketAddr>,
    secure: bool,
}

/// Finds out who asks and under which name, lets the request be answered, and keeps its line for the log.
async fn answer<L, S, F>(
    shared: &Shared<L, S>,
    mut request: Request<Incoming>,
    ends: Ends,
) -> (Response<ResponseBody>, Line)
where
    L: Library,
    S: Fn(Request<Incoming>) -> F,
    F: Future<Output = Response<ResponseBody>>,
{
    let config = &shared.config;
    let believed = forwarded::believe(&config.proxies, ends.remote, ends.secure, request.headers_mut());
    let id = RequestId::of(request.headers());
    let mut line = Line::begin(&request, &id, believed.client.ip(), config.redact);
    let mut response = route(shared, request, ends, believed, &id).await;
    line.answered(&response);
    let headers = response.headers_mut();
    headers.entry(header::SERVER).or_insert(SERVER);
    headers.insert(REQUEST_ID, id.to_header());
    (response, line)
}

/// Checks, then routes: media first, all else to the JSON service. A panic in a route is a 500, not the connection's end.
async fn route<L, S, F>(
    shared: &Shared<L, S>,
    mut request: Request<Incoming>,
    ends: Ends,
    believed: Believed,
    id: &RequestId,
) -> Response<ResponseBody>
where
    L: Library,
    S: Fn(Request<Incoming>) -> F,
    F: Future<Output = Response<ResponseBody>>,
{
    let config = &shared.config;
    let Believed { client, secure, host } = believed;
    let host = match guard::examine(&request, &config.hosts, host) {
        Ok(host) => host,
        Err(problem) => return hardened(problem.into_response()),
    };
    let named = match (&host, ends.local) {
        (Some(host), _) => BaseUrl::new(secure, host),
        (None, Some(local)) => BaseUrl::new(secure, &local),
        (None, None) => BaseUrl::new(secure, &config.listen),
    };
    let base = config.proxies.public_url.clone().unwrap_or_else(|| named.clone());
    if is_media(request.uri().path()) {
        return caught(media(shared, request, client, base)).await;
    }
    if guard::is_forged(&request, &[named.as_str(), base.as_str()], &config.origins) {
        return hardened(Problem::ORIGIN_REFUSED.into_response());
    }
    let extensions = request.extensions_mut();
    extensions.insert(RemoteAddr(client));
    extensions.insert(base);
    extensions.insert(id.clone());
    hardened(caught(async { (shared.json)(request).await }).await)
}

fn hardened(mut response: Response<ResponseBody>) -> Response<ResponseBody> {
    harden(response.headers_mut());
    response
}

const SERVER: HeaderValue = HeaderValue::from_static(concat!("Afflux/", env!("CARGO_PKG_VERSION")));

/// Answers a media route. The library is asked only by what reads.
async fn media<L: Library, S>(
    shared: &Shared<L, S>,
    request: Request<Incoming>,
    client: SocketAddr,
    base: BaseUrl,
) -> Response<ResponseBody> {
    let (head, _) = request.into_parts();
    if head.method == Method::OPTIONS {
        return without_media(reply::preflight());
    }
    if head.method != Method::GET && head.method != Method::HEAD {
        return without_media(reply::method_not_allowed());
    }
    let Some((id, path)) = guard::media_route(head.uri.path()) else {
        return without_media(reply::problem(Problem::NOT_FOUND, &head.method));
    };
    let request = MediaRequest {
        id: id.to_owned(),
        path: path.to_owned(),
        query: head.uri.query().map(str::to_owned),
        user_agent: head
            .headers
            .get(header::USER_AGENT)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned),
        remote: client,
        base,
    };
    match shared.library.open(&request).await {
        Ok(media) => respond(&head, &media, shared.config.window),
        Err(error) => without_media(reply::refusal(error, &head.method)),
    }
}

/// Runs a route; if it panics, the client hears of it and the connection lives on.
async fn caught(route: impl Future<Output = Response<ResponseBody>>) -> Response<ResponseBody> {
    let mut route = pin!(route);
    std::future::poll_fn(|cx| {
        // A route that panicked is dropped and never polled again, so nothing sees it half done.
        match catch_unwind(AssertUnwindSafe(|| route.as_mut().poll(cx))) {
            Ok(polled) => polled,
            Err(_) => {
                tracing::error!("an HTTP route panicked");
                Poll::Ready(Problem::INTERNAL.into_response())
            }
        }
    })
    .await
}

/// What goes on in a connection.
#[derive(Default)]
struct Activity {
    /// Requests begun.
    begun: AtomicUsize,
    /// Requests whose response isn't over.
    open: AtomicUsize,
}

/// One request, from its head to the last byte of its response.
struct Turn(Arc<Activity>);

impl Turn {
    fn begin(activity: &Arc<Activity>) -> Turn {
        activity.begun.fetch_add(1, Ordering::Relaxed);
        activity.open.fetch_add(1, Ordering::Relaxed);
        Turn(activity.clone())
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Why a connection isn't waited for any longer.
enum Impatience {
    /// No request at all. hyper's own timer begins only after it knows the version, which it learns from the first bytes.
    Silent,
    /// Requests, but none for long.
    Idle,
}

/// The clock of a connection on which nothing happens.
struct Patience {
    next: Instant,
    begun: usize,
    /// Since when the number of requests hasn't changed and none is open.
    quiet_since: Option<Instant>,
    step: std::time::Duration,
}

impl Patience {
    fn new(header_timeout: std::time::Duration) -> Patience {
        let step = header_timeout.min(IDLE_MAX);
        Patience { next: Instant::now() + header_timeout, begun: 0, quiet_since: None, step }
    }

    /// Returns when patience ends. Cancel-safe: everything it knows is in `self`.
    async fn judge(&mut self, activity: &Activity) -> Impatience {
        loop {
            tokio::time::sleep_until(self.next).await;
            let now = Instant::now();
            self.next = now + self.step;
            let begun = activity.begun.load(Ordering::Relaxed);
            if begun == 0 {
                return Impatience::Silent;
            }
            let quiet = begun == self.begun && activity.open.load(Ordering::Relaxed) == 0;
            self.begun = begun;
            if !quiet {
                self.quiet_since = None;
            } else if now.duration_since(*self.quiet_since.get_or_insert(now)) >= IDLE_MAX {
                return Impatience::Idle;
            }
        }
    }
}

/// A body that keeps its turn and its line open until it is dropped.
struct Counted {
    body: ResponseBody,
    line: Line,
    _turn: Turn,
}

fn counted(body: ResponseBody, turn: Turn, line: Line) -> ResponseBody {
    Counted { body, line, _turn: turn }.boxed_unsync()
}

impl Body for Counted {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            self.line.sent(frame.data_ref().map_or(0, Bytes::len));
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const HEAD: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn patience_with_a_silent_client_ends_with_the_time_for_a_head() {
        let begin = Instant::now();
        assert!(matches!(Patience::new(HEAD).judge(&Activity::default()).await, Impatience::Silent));
        assert_eq!(begin.elapsed(), HEAD);
    }

    #[tokio::test(start_paused = true)]
    async fn patience_with_an_idle_client_ends_later() {
        let activity = Arc::new(Activity::default());
        drop(Turn::begin(&activity));
        let begin = Instant::now();
        assert!(matches!(Patience::new(HEAD).judge(&activity).await, Impatience::Idle));
        assert!(begin.elapsed() >= IDLE_MAX && begin.elapsed() <= IDLE_MAX + HEAD * 3);
    }

    #[tokio::test(start_paused = true)]
    async fn patience_with_a_film_has_no_end() {
        let activity = Arc::new(Activity::default());
        let turn = Turn::begin(&activity);
        let mut patience = Patience::new(HEAD);
        let day = Duration::from_secs(24 * 3600);
        assert!(tokio::time::timeout(day, patience.judge(&activity)).await.is_err());
        drop(turn);
        assert!(matches!(patience.judge(&activity).await, Impatience::Idle));
    }
}
