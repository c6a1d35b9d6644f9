//! What the tests with other people's programs stand on: processes that surely end, folders, payloads and
//! clients. Waits have generous deadlines: they tell a hang from a slow machine and measure nothing.

pub(crate) mod afflux;
pub(crate) mod clients;
pub(crate) mod http;
pub(crate) mod namespace;
pub(crate) mod payload;
pub(crate) mod process;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long anything that should happen may take on a crowded machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// Asks `look` again and again until it answers.
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "waited {} s in vain: {what}", PATIENCE.as_secs());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A TCP port on loopback that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    listener.local_addr().expect("a bound socket has an address").port()
}

/// A file of the repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A folder for one test; goes away with it. World-accessible, for clients that refuse to run as root.
pub(crate) struct Scratch {
    folder: tempfile::TempDir,
}

impl Scratch {
    pub(crate) fn new() -> Self {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::Builder::new().prefix("afflux-test-").tempdir().expect("a temporary folder");
        let open = std::fs::Permissions::from_mode(0o777);
        std::fs::set_permissions(folder.path(), open).expect("our own folder");
        Self { folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A new, empty, world-writable folder in it.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let path = self.path(name);
        std::fs::create_dir_all(&path).expect("our own folder");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o777)).expect("our own folder");
        path
    }
}
