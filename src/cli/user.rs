//! `afflux user`: who the daemon knows, and who is shut out.
//!
//! While a daemon runs it alone has the database, and is asked over HTTP with a token that is good for a minute; otherwise the
//! database is opened here.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Subcommand;
use http::header::CONTENT_TYPE;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Context, session};
use crate::auth::{Claims, OwnKey, Scopes};
use crate::database::{Database, KnownUser, OpenError};
use crate::failure::Failure;
use crate::service::unix_now;
use crate::user::User;

/// Where a running daemon says how it is reached, in the data folder.
const ADDRESS_FILE: &str = "daemon.json";
/// The daemon's answer must be here by then.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Users of one answer.
const PAGE: usize = 1000;

/// Arguments of `afflux user`.
#[derive(Debug, clap::Args)]
pub struct UserArguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List users that were seen or limited
    List,
    /// Shut a user out: no token of theirs counts, and their streams end
    Disable {
        /// The name that their tokens say
        name: User,
    },
    /// Let a user in again
    Enable {
        /// The name that their tokens say
        name: User,
    },
}

/// A user as it is printed; the daemon tells more.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    name: String,
    disabled: bool,
    first_seen: u64,
    last_seen: u64,
}

pub(super) fn run(context: &Context, arguments: &UserArguments) -> Result<ExitCode, Failure> {
    let runtime = session::runtime()?;
    let users = runtime.block_on(async {
        match Database::open(&context.data_dir) {
            Ok((database, _)) => {
                let done = directly(&database, &arguments.command).await;
                database.close().await;
                done
            }
            Err(OpenError::InUse { .. }) => by_the_daemon(&context.data_dir, &arguments.command).await,
            Err(error) => Err(Failure::work(error.to_string())),
        }
    })?;
    for user in users {
        if context.json {
            println!("{}", json!(user));
        } else {
            println!("{}{}", user.name, if user.disabled { " (disabled)" } else { "" });
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn directly(database: &Database, command: &Command) -> Result<Vec<Shown>, Failure> {
    let failed = |error: crate::database::DatabaseError| Failure::work(error.to_string());
    let (name, disabled) = match command {
        Command::List => {
            let mut all: Vec<KnownUser> = Vec::new();
            loop {
                let after = all.last().map(|row| row.user.clone());
                let page = database.users().list(after.as_ref(), PAGE).await.map_err(failed)?;
                if page.is_empty() {
                    return Ok(all.into_iter().map(Shown::from).collect());
                }
                all.extend(page);
            }
        }
        Command::Disable { name } => (name, true),
        Command::Enable { name } => (name, false),
    };
    database.users().set_disabled(name, disabled, unix_now()).await.map_err(failed)?;
    let row = database.users().find(name).await.map_err(failed)?;
    Ok(row.into_iter().map(Shown::from).collect())
}

async fn by_the_daemon(data_dir: &Path, command: &Command) -> Result<Vec<Shown>, Failure> {
    let Address { url, audience } = read_address(data_dir)?;
    let token = minute_token(data_dir, audience)?;
    // The daemon is on this machine, and its certificate is for the name that others know it by.
    let client = reqwest::Client::builder().no_proxy().timeout(TIMEOUT).danger_accept_invalid_certs(true);
    let client = client.build().map_err(|error| Failure::work(format!("HTTP can't be used: {error}")))?;
    let path = |name: &User| format!("{url}/api/users/{}", crate::shelf::encode(name.as_str()));
    let request = match command {
        Command::List => client.get(format!("{url}/api/users?limit={PAGE}")),
        Command::Disable { name } => client.patch(path(name)).body(r#"{"disabled":true}"#),
        Command::Enable { name } => client.patch(path(name)).body(r#"{"disabled":false}"#),
    };
    let request = request.header(CONTENT_TYPE, "application/json");
    let silent = |error: reqwest::Error| {
        Failure::work(format!("the running daemon at {url} doesn't answer: {}", error.without_url()))
    };
    let answer = request.bearer_auth(token).send().await.map_err(silent)?;
    let status = answer.status();
    let text = answer.text().await.map_err(silent)?;
    if !status.is_success() {
        return Err(Failure::work(format!("the running daemon at {url} says {status}: {text}")));
    }
    let wrong = |error| Failure::work(format!("the running daemon at {url} answers something else: {error}"));
    match command {
        Command::List => serde_json::from_str(&text).map_err(wrong),
        _ => serde_json::from_str(&text).map(|user| vec![user]).map_err(wrong),
    }
}

/// A token for this one request.
fn minute_token(data_dir: &Path, audience: String) -> Result<String, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::work(error.to_string());
    let key = OwnKey::open(data_dir).map_err(|error| failed(&error))?;
    let now = unix_now();
    Ok(key.mint(&Claims {
        user: "afflux-user-command".parse().map_err(|error: crate::user::BadUser| failed(&error))?,
        scopes: Scopes::ADMIN,
        audience,
        issued: now,
        expires: now + 60,
        id: Claims::random_id().map_err(|error| failed(&error))?,
        max_streams: None,
        max_rate: None,
    }))
}

/// How a running daemon is reached from this machine.
#[derive(Debug, Deserialize, Serialize)]
struct Address {
    url: String,
    /// Whom its tokens are for.
    audience: String,
}

/// A daemon's word on how it is reached; it is taken back when this is dropped.
#[derive(Debug)]
pub(super) struct AddressFile(PathBuf);

impl AddressFile {
    /// Writes it down. Fails only for want of a disk; then `afflux user` can't ask this daemon.
    pub(super) fn write(data_dir: &Path, url: String, audience: String) -> std::io::Result<Self> {
        let path = data_dir.join(ADDRESS_FILE);
        std::fs::write(&path, json!(Address { url, audience }).to_string())?;
        Ok(Self(path))
    }
}

impl Drop for AddressFile {
    fn drop(&mut self) {
        // A file that stays says nothing: who reads it has found the database in use first.
        let _ = std::fs::remove_file(&self.0);
    }
}

fn read_address(data_dir: &Path) -> Result<Address, Failure> {
    let path = data_dir.join(ADDRESS_FILE);
    let unknown = |error: &dyn std::fmt::Display| {
        let path = path.display();
        Failure::work(format!(
            "a daemon uses this data folder, but {path} doesn't say where it is ({error}): end it first"
        ))
    };
    let text = std::fs::read_to_string(&path).map_err(|error| unknown(&error))?;
    serde_json::from_str(&text).map_err(|error| unknown(&error))
}

impl From<KnownUser> for Shown {
    fn from(row: KnownUser) -> Self {
        Self {
            name: row.user.to_string(),
            disabled: row.disabled,
            first_seen: row.first_seen,
            last_seen: row.last_seen,
        }
    }
}
