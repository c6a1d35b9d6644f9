//! SIGHUP: read the configuration again.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Wishes to reload, as `systemctl reload` sends them. While one of these exists, SIGHUP doesn't end the process.
#[derive(Debug)]
pub struct Reloads(Signal);

impl Reloads {
    /// Listens from now on.
    ///
    /// # Errors
    /// The system's, when signals can't be caught.
    pub fn listen() -> io::Result<Self> {
        signal(SignalKind::hangup()).map(Self)
    }

    /// Waits for the next wish; several that came meanwhile are one. Cancel-safe.
    pub async fn next(&mut self) {
        if self.0.recv().await.is_none() {
            // Signals end with the runtime: nobody will ask any more.
            std::future::pending().await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_hangup_is_a_wish_and_not_the_end() {
        let mut reloads = Reloads::listen().unwrap();
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::HUP).unwrap();
        reloads.next().await;
    }
}
