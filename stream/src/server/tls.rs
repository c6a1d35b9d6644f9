//! TLS by certificate files: loading them, taking newer ones without dropping anybody, and the handshake's bounds.
//!
//! A handshake costs us a signature and a client nothing, and a client that never finishes one must hold no place of a player. So
//! handshakes have places of their own, few for each address, and little time. Not here: what is sent over them.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use thiserror::Error;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::server::TlsStream;

use crate::limits::{CERTIFICATES_MAX, HANDSHAKES_PER_ADDRESS_MAX, PEM_BYTES_MAX, TLS_HANDSHAKE_TIMEOUT};

/// Where certificate and key lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSettings {
    /// PEM file with the server's certificate and those that vouch for it, in that order.
    pub certificates: PathBuf,
    /// PEM file with the certificate's key: PKCS #8, PKCS #1 or SEC 1, not encrypted.
    pub key: PathBuf,
    /// How long a client may take for a handshake.
    pub handshake_timeout: Duration,
}

impl TlsSettings {
    /// The files, and the usual patience.
    pub fn new(certificates: impl Into<PathBuf>, key: impl Into<PathBuf>) -> TlsSettings {
        let (certificates, key) = (certificates.into(), key.into());
        TlsSettings { certificates, key, handshake_timeout: TLS_HANDSHAKE_TIMEOUT }
    }
}

/// Why TLS can't be served with these files. The sentence names the file and what to do.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file can't be read.
    #[error("{} can't be read: {cause}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// A file isn't the PEM file that is needed.
    #[error("{} has no {wanted} in PEM form (a block that begins with -----BEGIN); is it the right file?", path.display())]
    NoPem {
        /// The file.
        path: PathBuf,
        /// What should be in it.
        wanted: &'static str,
    },
    /// Both are there, and don't go together, or can't be used.
    #[error("the certificate {} and the key {} can't be used together: {cause}", certificates.display(), key.display())]
    Unusable {
        /// The certificate's file.
        certificates: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What TLS says.
        cause: rustls::Error,
    },
}

/// A loaded certificate, and the handshakes under way. All clones are the same: one stays with the server, another reloads.
#[derive(Clone)]
pub struct Tls(Arc<Shared>);

struct Shared {
    settings: TlsSettings,
    current: RwLock<Arc<rustls::ServerConfig>>,
    /// Handshakes under way, by who makes them.
    pending: Mutex<HashMap<IpAddr, usize>>,
}

impl Tls {
    /// Reads certificate and key, and makes sure that they go together.
    ///
    /// # Errors
    /// See [`TlsError`].
    pub fn load(settings: TlsSettings) -> Result<Tls, TlsError> {
        let current = RwLock::new(read(&settings)?);
        Ok(Tls(Arc::new(Shared { settings, current, pending: Mutex::default() })))
    }

    /// Reads the files again: who connects from now on gets the new certificate, and nobody is dropped.
    ///
    /// # Errors
    /// As for [`load`](Self::load); the old certificate then stays in use.
    pub fn reload(&self) -> Result<(), TlsError> {
        let fresh = read(&self.0.settings)?;
        *self.0.current.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    /// Shakes hands; `None` when that fails, takes too long, or this address makes too many at once.
    pub(super) async fn accept(&self, stream: TcpStream, from: IpAddr) -> Option<TlsStream<TcpStream>> {
        let _turn = self.begin(from)?;
        let acceptor = TlsAcceptor::from(self.current());
        match tokio::time::timeout(self.0.settings.handshake_timeout, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => Some(stream),
            Ok(Err(error)) => {
                tracing::debug!(%error, %from, "a TLS handshake failed");
                None
            }
            Err(_) => None,
        }
    }

    fn current(&self) -> Arc<rustls::ServerConfig> {
        self.0.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn begin(&self, from: IpAddr) -> Option<HandshakeTurn> {
        let from = household(from);
        let mut pending = self.0.pending();
        let count = pending.entry(from).or_default();
        if *count >= HANDSHAKES_PER_ADDRESS_MAX {
            return None;
        }
        *count += 1;
        Some(HandshakeTurn { shared: self.0.clone(), from })
    }
}

impl Shared {
    fn pending(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tls").field(&self.0.settings).finish()
    }
}

/// One handshake under way.
struct HandshakeTurn {
    shared: Arc<Shared>,
    from: IpAddr,
}

impl Drop for HandshakeTurn {
    fn drop(&mut self) {
        let mut pending = self.shared.pending();
        if let Some(count) = pending.get_mut(&self.from) {
            *count -= 1;
            if *count == 0 {
                pending.remove(&self.from);
            }
        }
    }
}

/// Whose address it is: of IPv6 everybody has 64 bits to choose from.
fn household(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into(),
        ip => ip,
    }
}

fn read(settings: &TlsSettings) -> Result<Arc<rustls::ServerConfig>, TlsError> {
    let certificates = certificates(&settings.certificates)?;
    let pem = contents(&settings.key)?;
    let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|_| TlsError::NoPem {
        path: settings.key.clone(),
        wanted: "private key without password",
    })?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let unusable = |cause| TlsError::Unusable {
        certificates: settings.certificates.clone(),
        key: settings.key.clone(),
        cause,
    };
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .map_err(unusable)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let no_pem = || TlsError::NoPem { path: path.to_owned(), wanted: "certificate" };
    let pem = contents(path)?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .take(CERTIFICATES_MAX)
        .collect::<Result<_, _>>()
        .map_err(|_| no_pem())?;
    if chain.is_empty() { Err(no_pem()) } else { Ok(chain) }
}

/// A whole file. A wrong path may name a film, or a device without end.
fn contents(path: &Path) -> Result<Vec<u8>, TlsError> {
    use std::io::Read;
    let unreadable = |cause| TlsError::Unreadable { path: path.to_owned(), cause };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut contents = Vec::new();
    file.take(PEM_BYTES_MAX + 1).read_to_end(&mut contents).map_err(unreadable)?;
    if contents.len() as u64 > PEM_BYTES_MAX {
        let cause = format!("it has more than {PEM_BYTES_MAX} bytes, as no PEM file of one server has");
        return Err(unreadable(io::Error::other(cause)));
    }
    Ok(contents)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_household_counts_as_one_address() {
        let of = |text: &str| household(text.parse().unwrap()).to_string();
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(of("::ffff:192.0.2.1"), "192.0.2.1");
    }

    #[test]
    fn missing_and_wrong_files_are_told_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let (empty, none) = (folder.path().join("empty.pem"), folder.path().join("none.pem"));
        std::fs::write(&empty, "nothing").unwrap();
        let load = |settings| Tls::load(settings).unwrap_err().to_string();
        assert!(load(TlsSettings::new(&none, &empty)).contains("none.pem can't be read"));
        assert!(load(TlsSettings::new(&empty, &empty)).contains("empty.pem has no certificate"));
        let endless = load(TlsSettings::new("/dev/zero", &empty));
        assert!(endless.contains("more than"), "{endless}");
    }
}
