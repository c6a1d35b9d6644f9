//! The gate before every route: who is it, may it, and not too often.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use afflux_stream::{RemoteAddr, RequestUser};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use super::answers::problem;
use super::routes::Access;
use super::{Api, refusals};
use crate::auth::{self, Identity, Scope, Verifier};
use crate::service::refusal::{Code, Refusal};
use crate::user::User;

/// Refused tokens of one address per second, twice that at once. A token can't be guessed; this bounds what trying costs us.
const REFUSED_PER_SECOND: NonZeroU32 = NonZeroU32::new(10).expect("ten isn't zero");
/// Users and addresses whose rates are remembered before those at rest are forgotten.
const REMEMBERED_MAX: usize = 10_000;

/// How the daemon knows who asks.
#[derive(Debug)]
pub enum Door {
    /// By their tokens.
    Tokens(Box<Verifier>),
    /// It doesn't: everybody is the same user and may do everything.
    Unguarded,
}

/// How often may be asked.
#[derive(Debug)]
pub(super) struct Rates {
    users: DefaultKeyedRateLimiter<User>,
    refused: DefaultKeyedRateLimiter<IpAddr>,
}

/// A route's gate.
#[derive(Clone)]
pub(super) struct Guarded {
    pub(super) api: Arc<Api>,
    pub(super) access: Access,
}

impl Rates {
    /// So many requests of a user per second, twice that at once.
    pub(super) fn new(per_second: u32) -> Self {
        let quota = |per_second: NonZeroU32| {
            Quota::per_second(per_second).allow_burst(per_second.saturating_mul(TWO))
        };
        let per_second = NonZeroU32::new(per_second).unwrap_or(NonZeroU32::MIN);
        Self {
            users: RateLimiter::keyed(quota(per_second)),
            refused: RateLimiter::keyed(quota(REFUSED_PER_SECOND)),
        }
    }

    /// Counts a request of a user.
    pub(super) fn count(&self, user: &User) -> Result<(), Refusal> {
        self.forget();
        self.users
            .check_key(user)
            .map_err(|until| too_many(until.wait_time_from(DefaultClock::default().now())))
    }

    fn count_refused(&self, address: IpAddr) -> Result<(), Refusal> {
        self.forget();
        self.refused
            .check_key(&address)
            .map_err(|until| too_many(until.wait_time_from(DefaultClock::default().now())))
    }

    /// Attack: a flood from ever new addresses, each of which would be remembered for ever.
    fn forget(&self) {
        if self.users.len() > REMEMBERED_MAX {
            self.users.retain_recent();
        }
        if self.refused.len() > REMEMBERED_MAX {
            self.refused.retain_recent();
        }
    }
}

const TWO: NonZeroU32 = NonZeroU32::new(2).expect("two isn't zero");

fn too_many(wait: Duration) -> Refusal {
    Refusal::new(Code::RateLimited, "too many requests: slow down (STREAM_RATE_LIMIT)").retry_after(wait)
}

/// Lets a request through to its route, with its [`Identity`] among the extensions.
pub(super) async fn pass(State(guarded): State<Guarded>, mut request: Request, next: Next) -> Response {
    let Guarded { api, access } = guarded;
    let Access::Scope(scope) = access else { return next.run(request).await };
    let address = request.extensions().get::<RemoteAddr>().map(|remote| remote.0.ip());
    let identity = match identify(&api, request.headers(), address) {
        Ok(identity) => identity,
        Err(denied) => return denied.into_response(),
    };
    if let Err(refusal) = api.service.admit(&identity, address).await {
        return named(refusal.into_response(), &identity.user);
    }
    if !identity.scopes.contains(scope) {
        return named(insufficient(scope), &identity.user);
    }
    let counted = match is_media(&api, &identity, &request) {
        true => Ok(()),
        false => api.rates.count(&identity.user),
    };
    let user = identity.user.clone();
    if let Err(refusal) = counted {
        return named(refusal.into_response(), &user);
    }
    request.extensions_mut().insert(identity);
    named(next.run(request).await, &user)
}

/// Says whose answer it is, for the log.
fn named(mut answer: Response, user: &User) -> Response {
    answer.extensions_mut().insert(RequestUser(user.as_str().into()));
    answer
}

/// A player's read of an open session: those have a cap of their own.
fn is_media(api: &Api, identity: &Identity, request: &Request) -> bool {
    let Some(hash) = request.uri().path().strip_prefix("/api/stream/") else { return false };
    !super::wants_json(request.headers())
        && hash.parse().is_ok_and(|hashes| api.service.has_session(&identity.user, hashes))
}

/// Why nobody comes in.
enum Denied {
    /// What is wrong with the token.
    Token(auth::Refusal),
    /// Too many wrong tokens came from there.
    TooMany(Refusal),
}

impl IntoResponse for Denied {
    fn into_response(self) -> Response {
        match self {
            Self::Token(refusal) => unauthorized(&refusal),
            Self::TooMany(refusal) => refusal.into_response(),
        }
    }
}

fn identify(api: &Api, headers: &HeaderMap, address: Option<IpAddr>) -> Result<Identity, Denied> {
    let Door::Tokens(verifier) = &api.door else { return Ok(Identity::local()) };
    let verified = auth::bearer(headers).and_then(|token| verifier.verify(token, unix_now()));
    let verified = verified.and_then(|identity| match api.service.is_revoked(&identity.token) {
        true => Err(auth::Refusal::Revoked),
        false => Ok(identity),
    });
    verified.map_err(|refusal| {
        api.service.metrics().token_refused(refusal);
        match address.map(|address| api.rates.count_refused(address)) {
            Some(Err(too_many)) => Denied::TooMany(too_many),
            _ => Denied::Token(refusal),
        }
    })
}

/// 401, with what RFC 6750 wants said.
fn unauthorized(refusal: &auth::Refusal) -> Response {
    let mut answer = problem(refusals::unauthorized(*refusal), refusal.to_string());
    let challenge = HeaderValue::from_static(refusal.challenge());
    answer.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    answer
}

/// 403, likewise.
fn insufficient(scope: Scope) -> Response {
    let detail = format!("the token has no scope {scope}: get one that has");
    let mut answer = Refusal::new(Code::Forbidden, detail).into_response();
    let challenge = format!("Bearer realm=\"afflux\", error=\"insufficient_scope\", scope=\"{scope}\"");
    if let Ok(challenge) = HeaderValue::from_str(&challenge) {
        answer.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    answer
}

fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
