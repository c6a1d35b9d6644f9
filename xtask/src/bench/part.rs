//! Parts of a benchmark that have to be processes of their own: this same program, started with other words.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::process::{self, Process};
use super::{cheap_seeder, floor, sink};

/// The word on the command line, which `--help` doesn't tell: nobody starts a part by hand.
pub(crate) const WORD: &str = "bench-part";

/// How long a part may take to get ready.
const PATIENCE: Duration = Duration::from_secs(10);

/// Is a part, until its work is done or its standard input closes.
pub(crate) fn run(words: &[&str]) -> Result<()> {
    match words {
        ["cheap-seeder", file, piece_bytes] => cheap_seeder::run(Path::new(file), piece_bytes.parse()?),
        ["sink", seeder, info_hash, bytes, piece_bytes, count] => {
            let goods = sink::Goods {
                seeder: seeder.parse()?,
                info_hash: cheap_seeder::info_hash_of(info_hash).context("an info-hash in hex")?,
                bytes: bytes.parse()?,
                piece_bytes: piece_bytes.parse()?,
            };
            sink::run(goods, count.parse()?)
        }
        ["floor", from, into] => floor::run(from.parse()?, Path::new(into)),
        _ => bail!("`{}` is no part", words.join(" ")),
    }
}

/// Starts a part; its log goes to `folder`.
pub(crate) fn start(words: &[&str], folder: &Path) -> Result<Process> {
    let program = std::env::current_exe().context("this program has no path")?;
    let mut command = process::command(&program, folder);
    command.arg(WORD).args(words);
    Process::start(command, folder, words.first().context("a part has a name")?)
}

/// What a part says it listens on.
pub(crate) fn addresses<const N: usize>(part: &mut Process) -> Result<[SocketAddr; N]> {
    let (_, line) = part.hear(PATIENCE, |line| line.strip_prefix("listening ").map(str::to_owned))?;
    let addresses: Vec<SocketAddr> =
        line.split(' ').map(str::parse).collect::<Result<_, _>>().context("it says no addresses")?;
    addresses.try_into().ok().context("it says more or fewer addresses than expected")
}
