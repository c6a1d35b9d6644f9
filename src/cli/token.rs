//! `afflux token`: mints a token with the daemon's own key. It needs no daemon, only its data folder.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::{Context, show::Screen};
use crate::auth::{AUDIENCE, Claims, OwnKey, Scopes};
use crate::config::units;
use crate::failure::Failure;
use crate::user::User;

/// A leap year. What is good for longer is forgotten, and found by others.
const TTL_MAX: Duration = Duration::from_secs(366 * 24 * 60 * 60);
/// As many streams as a daemon can be told to allow a user.
const STREAMS_MAX: u32 = 10_000;

/// Arguments of `afflux token`.
#[derive(Debug, clap::Args)]
pub struct TokenArguments {
    /// Who the token is for; whoever has it is that user
    #[arg(long, value_name = "NAME")]
    user: User,
    /// What it allows, separated by spaces: torrents:read, torrents:write, stream, download, analytics, admin
    #[arg(long, value_name = "SCOPES", default_value_t = Scopes::VIEWER, value_parser = Scopes::strict)]
    scope: Scopes,
    /// How long it is good: seconds, or with m, h or d behind the digits; 366d at most
    #[arg(long, value_name = "SPAN", default_value = "30d",
          value_parser = units::span_within("--ttl", Duration::from_secs(1), TTL_MAX))]
    ttl: Duration,
    /// Streams at once, if fewer than the daemon allows each user
    #[arg(long, value_name = "N", value_parser = units::count("--max-streams", 1, STREAMS_MAX))]
    max_streams: Option<u32>,
    /// Bytes per second, K, M and G allowed, if fewer than the daemon allows; 0 is no limit
    #[arg(long, value_name = "RATE", value_parser = units::bytes)]
    max_rate: Option<u64>,
    /// Which daemon it is for: what that one's --jwt-audience says [default: afflux]
    #[arg(long, value_name = "NAME", env = "STREAM_JWT_AUDIENCE")]
    audience: Option<String>,
}

pub(super) fn run(context: &Context, arguments: TokenArguments) -> Result<ExitCode, Failure> {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_err(|_| Failure::work("this machine's clock is before 1970: set it"))?;
    let key = OwnKey::open(&context.data_dir).map_err(|error| Failure::work(error.to_string()))?;
    let ttl = arguments.ttl;
    let claims = claims(context, arguments, now.as_secs())?;
    let token = key.mint(&claims);
    Screen::new(context.json).say(&token, || object(&token, &claims));
    if !context.json && std::io::stdout().is_terminal() {
        eprintln!(
            "good for {} as {} ({}). Send it in the header  Authorization: Bearer TOKEN",
            units::show_span(ttl),
            claims.user,
            claims.scopes
        );
    }
    Ok(ExitCode::SUCCESS)
}

fn claims(context: &Context, arguments: TokenArguments, now: u64) -> Result<Claims, Failure> {
    if arguments.scope.is_empty() {
        return Err(Failure::usage(
            "--scope is empty, and the token would allow nothing: leave it out to watch films",
        ));
    }
    let audience = arguments.audience.or_else(|| context.file.auth.jwt_audience.clone());
    let audience = audience.unwrap_or_else(|| AUDIENCE.to_owned());
    if audience.is_empty() {
        return Err(Failure::usage(
            "--audience can't be empty: leave it out for a daemon without --jwt-audience",
        ));
    }
    Ok(Claims {
        user: arguments.user,
        scopes: arguments.scope,
        audience,
        issued: now,
        expires: now + arguments.ttl.as_secs(),
        id: Claims::random_id()
            .map_err(|error| Failure::work(format!("the system has no randomness: {error}")))?,
        max_streams: arguments.max_streams,
        max_rate: arguments.max_rate.filter(|&rate| rate > 0),
    })
}

fn object(token: &str, claims: &Claims) -> Value {
    let mut object = json!({
        "event": "token",
        "token": token,
        "tokenId": claims.token_id().to_string(),
        "user": claims.user.as_str(),
        "scope": claims.scopes.to_string(),
        "audience": claims.audience,
        "expiresAt": claims.expires,
    });
    if let Some(streams) = claims.max_streams {
        object["maxStreams"] = streams.into();
    }
    if let Some(rate) = claims.max_rate {
        object["maxRate"] = rate.into();
    }
    object
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::auth::{Rules, Scope, Verifier};
    use crate::config::File;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        token: TokenArguments,
    }

    fn parse(line: &str) -> Result<TokenArguments, clap::Error> {
        Line::try_parse_from(std::iter::once("token").chain(line.split('|'))).map(|line| line.token)
    }

    fn context(data_dir: &std::path::Path) -> Context {
        Context { data_dir: data_dir.to_owned(), json: false, config: None, file: File::default() }
    }

    #[test]
    fn what_is_minted_is_what_the_daemon_of_the_same_folder_takes() {
        let folder = tempfile::tempdir().unwrap();
        let context = context(folder.path());
        let arguments = "--user|anna|--scope|stream download|--ttl|45m|--max-streams|2|--max-rate|500K";
        let claims = claims(&context, parse(arguments).unwrap(), 1_000_000).unwrap();
        let token = OwnKey::open(&context.data_dir).unwrap().mint(&claims);
        let verifier = Verifier::new(Rules::default(), OwnKey::open(&context.data_dir).unwrap(), None);
        let identity = verifier.verify(&token, 1_000_000).unwrap();
        assert_eq!((identity.user.as_str(), identity.expires), ("anna", 1_002_700));
        assert!(identity.scopes.contains(Scope::Download) && !identity.scopes.contains(Scope::TorrentsRead));
        assert_eq!((identity.max_streams, identity.max_rate), (Some(2), Some(500 << 10)));
        assert_eq!(object(&token, &claims)["tokenId"], identity.token.to_string());
    }

    #[test]
    fn a_token_allows_watching_for_thirty_days_unless_told_otherwise() {
        let folder = tempfile::tempdir().unwrap();
        let claims = claims(&context(folder.path()), parse("--user|anna").unwrap(), 0).unwrap();
        assert_eq!((claims.scopes, claims.expires), (Scopes::VIEWER, 30 * 86_400));
        assert_eq!((claims.max_streams, claims.max_rate), (None, None));
    }

    #[test]
    fn what_no_token_may_say_is_refused_with_what_is_allowed() {
        for (line, allowed) in [
            ("--scope|stream", "--user"),
            ("--user|", "1 to 128 bytes"),
            ("--user|a\nb", "control characters"),
            ("--user|anna|--scope|streaming", "torrents:read"),
            ("--user|anna|--ttl|367d", "366 days"),
            ("--user|anna|--ttl|0", "1 second"),
            ("--user|anna|--max-streams|0", "1 to 10000"),
            ("--user|anna|--max-rate|fast", "K, M or G"),
        ] {
            let error = parse(line).expect_err(line).to_string();
            assert!(error.contains(allowed), "{line}: {error}");
        }
        let folder = tempfile::tempdir().unwrap();
        for line in ["--user|anna|--scope|", "--user|anna|--audience|"] {
            assert!(claims(&context(folder.path()), parse(line).unwrap(), 0).is_err(), "{line}");
        }
    }
}
