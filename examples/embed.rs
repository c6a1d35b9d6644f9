//! Streaming inside another program, without HTTP: names a torrent, reads the head of its film, and tells how that goes.
//!
//! ```sh
//! cargo run --example embed -- 'magnet:?xt=urn:btih:…' [IP:PORT of a peer…]
//! ```

use std::error::Error;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Instant;

use afflux::auth::Identity;
use afflux::config::{SwarmOptions, TuningOptions};
use afflux::database::Database;
use afflux::engine::{Engine, EngineConfig};
use afflux::service::{ServiceConfig, SourceInput, Start, StreamingService};
use afflux_stream::token::MediaKey;
use afflux_stream::window::{Run, WindowConfig};

/// So much of the film is read.
const HEAD_BYTES: u64 = 1024 * 1024;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let source = arguments.next().ok_or("say what to stream: a magnet link or a .torrent file")?;
    let peers = arguments.map(|peer| peer.parse()).collect::<Result<_, _>>()?;
    let folder = tempfile::tempdir()?;
    let engine = Arc::new(
        Engine::start(EngineConfig {
            swarm: SwarmOptions { peer: peers, ..SwarmOptions::default() }.settle(SwarmOptions::default())?,
            tuning: TuningOptions::default().settle(TuningOptions::default()),
            data_dir: folder.path().to_owned(),
        })
        .await?,
    );
    let (database, _) = Database::open(folder.path())?;
    // A program that hands out URLs of its own keeps this key, so that they outlive it.
    let config = ServiceConfig::new(folder.path(), MediaKey::new([0; 32]));
    let service = StreamingService::start(Arc::clone(&engine), database.clone(), config).await?;

    let me = Identity::local();
    let input = match std::fs::read(&source) {
        Ok(bytes) => SourceInput::File(bytes.into()),
        Err(_) => SourceInput::Magnet(source),
    };
    let torrent = service.convert_magnet(&me, input).await?;
    println!("{}: {} files", torrent.info.name(), torrent.info.files().len());

    let film = service.open_stream(&me, torrent.hashes, Start::default(), false).await?;
    let (length, head) = (film.facts().length, film.facts().length.min(HEAD_BYTES));
    let mut reader = film.reader(0..head);
    // What is wanted and how soon is the reader's to say.
    let mut run = Run::new(WindowConfig::default(), 0..head, length, film.facts().bitrate, Instant::now());
    while run.position() < head {
        run.handle_wait();
        reader.set_window(run.window(Instant::now()));
        let (at, most) = (run.position(), (head - run.position()) as usize);
        let bytes = poll_fn(|cx| reader.poll_read(cx, at, most)).await.map_err(|error| error.to_string())?;
        run.handle_sent(bytes.len() as u64, Instant::now());
    }
    println!("the first {head} of {length} bytes are there");
    let status = service.stream_status(&me, torrent.hashes).await?;
    println!("{}: {} peers, first byte after {:?} ms", status.state, status.peers.connected, status.ttfb_ms);

    service.stop_stream(&me, torrent.hashes).await?;
    service.shutdown().await;
    engine.shutdown().await;
    database.close().await;
    Ok(())
}
