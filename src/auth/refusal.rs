//! Why a token isn't taken: a code for programs, a sentence for people. Neither ever repeats anything of the token, which
//! would put it in logs.

use thiserror::Error;

/// Why a request has no identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
pub enum Refusal {
    /// There is no token.
    #[error(
        "this needs a token: send it in the header Authorization: Bearer TOKEN; afflux token --user NAME makes one"
    )]
    Missing,
    /// There are several `Authorization` headers, and it isn't ours to choose.
    #[error("there is more than one Authorization header: send exactly one")]
    Repeated,
    /// It isn't a signed JWT.
    #[error(
        "the token is no signed JWT: three parts of unpadded base64url with dots between them, at most 8 KiB in all; \
         see that it was copied whole, without quotes or spaces"
    )]
    Malformed,
    /// Its `typ` says that it is for something else.
    #[error("the token's typ says that it is no access token: JWT and at+jwt are taken")]
    Type,
    /// It asks for extensions to be understood (`crit`), and there are none here.
    #[error("the token's crit asks for extensions that aren't supported: have it made without crit")]
    Extension,
    /// No key here goes by its `kid`, or it has none and there are several keys.
    #[error(
        "no key here goes by the token's kid: get a new token, or add its issuer's key to the file of --jwt-keys \
         and reload"
    )]
    Key,
    /// Its `alg` isn't the one that its key is for.
    #[error("the token's alg isn't the one that its key is for")]
    Algorithm,
    /// The signature is wrong: it was made with another key, or changed since.
    #[error("the token's signature is wrong: it was signed with another key or changed since; get a new one")]
    Signature,
    /// A claim is missing or isn't what it should be.
    #[error("the token's claim {0} is missing or not what it must be: {rule}", rule = rule(.0))]
    Claim(&'static str),
    /// Its time is over.
    #[error("the token's time is over: get a new one")]
    Expired,
    /// Its time hasn't come.
    #[error(
        "the token isn't valid yet (nbf or iat is in the future): see that both machines' clocks are right"
    )]
    NotYetValid,
    /// It is for somebody else.
    #[error(
        "the token is for another service: its aud must name this one (--jwt-audience, afflux unless configured)"
    )]
    Audience,
    /// It was issued by somebody else.
    #[error("the token's iss isn't the issuer that is configured here (--jwt-issuer)")]
    Issuer,
    /// Its `sub` is no name that a user may have.
    #[error("the token's sub must name the user: 1 to 128 bytes without control characters")]
    Subject,
    /// It was taken back before its time was over. The verifier doesn't know of that: whoever keeps the list says so.
    #[error("the token was revoked: get a new one")]
    Revoked,
}

/// What each claim must be that can't be used when it is something else.
fn rule(claim: &str) -> &'static str {
    match claim {
        "exp" | "nbf" | "iat" => "a number of seconds (not milliseconds) since 1970; exp must be there",
        "aud" => "a text, or a list of texts",
        "max_streams" | "max_rate" => "a whole number, not negative",
        "jti" => "a text of 1 to 256 bytes",
        "scope" => "a text, words separated by spaces",
        _ => "a text, said once",
    }
}

impl Refusal {
    /// Every reason there is, of claims one.
    pub const ALL: [Self; 15] = [
        Self::Missing,
        Self::Repeated,
        Self::Malformed,
        Self::Type,
        Self::Extension,
        Self::Key,
        Self::Algorithm,
        Self::Signature,
        Self::Claim(""),
        Self::Expired,
        Self::NotYetValid,
        Self::Audience,
        Self::Issuer,
        Self::Subject,
        Self::Revoked,
    ];

    /// What programs know it by; stays the same whatever becomes of the sentence.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Missing => "token_missing",
            Self::Repeated => "token_repeated",
            Self::Malformed => "token_malformed",
            Self::Type => "token_type",
            Self::Extension => "token_extension",
            Self::Key => "token_key",
            Self::Algorithm => "token_algorithm",
            Self::Signature => "token_signature",
            Self::Claim(_) => "token_claim",
            Self::Expired => "token_expired",
            Self::NotYetValid => "token_not_yet_valid",
            Self::Audience => "token_audience",
            Self::Issuer => "token_issuer",
            Self::Subject => "token_subject",
            Self::Revoked => "token_revoked",
        }
    }

    /// The value of `WWW-Authenticate` in the 401 that tells of it (RFC 6750, section 3): a request without a token is told of
    /// no error, because it made none.
    pub const fn challenge(self) -> &'static str {
        match self {
            Self::Missing => r#"Bearer realm="afflux""#,
            Self::Repeated => r#"Bearer realm="afflux", error="invalid_request""#,
            _ => r#"Bearer realm="afflux", error="invalid_token""#,
        }
    }
}
