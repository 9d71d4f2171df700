//! TLS with rustls, and the checks of each `sslmode`.

use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, SignatureVerificationAlgorithm, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use tokio_rustls::TlsConnector;

use super::pass_file::check_mode;
use crate::PostgresError;

/// libpq's `sslmode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SslMode {
    Disable,
    Allow,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

/// Where the root certificates are.
pub(super) enum Roots {
    /// Those of the operating system.
    System,
    File(PathBuf),
}

/// Makes TLS connections.
#[derive(Clone)]
pub(super) struct Tls {
    config: Arc<ClientConfig>,
    /// Whether the server's certificate is checked against root certificates.
    pub(super) is_verified: bool,
}

impl Tls {
    /// `own` is the client's certificate and its key.
    pub(super) fn new(
        mode: SslMode,
        roots: Option<Roots>,
        own: Option<(PathBuf, PathBuf)>,
    ) -> Result<Self, PostgresError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let roots = roots.map(Trusted::read).transpose()?;
        let is_verified = roots.is_some();
        let verifier = Verifier { roots, checks_name: mode == SslMode::VerifyFull, provider: provider.clone() };
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| PostgresError::Tls(error.into()))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let config = match own {
            None => builder.with_no_client_auth(),
            Some((path, key)) => {
                let chain = certificates(&path)?;
                check_mode(&key)?;
                let secret = PrivateKeyDer::from_pem_file(&key).map_err(|cause| unusable(&key, cause))?;
                let secret = provider.key_provider.load_private_key(secret).map_err(|cause| unusable(&key, cause))?;
                // The server checks whether they belong together. rustls could do so for certificates of version 3 only.
                let own = SingleCertAndKey::from(CertifiedKey::new(chain, secret));
                builder.with_client_cert_resolver(Arc::new(own))
            }
        };
        Ok(Self { config: Arc::new(config), is_verified })
    }

    /// The connector of one attempt. The flag tells whether the server agreed to TLS.
    pub(super) fn connector(&self) -> (MakeConnector, Arc<AtomicBool>) {
        let is_used = Arc::new(AtomicBool::new(false));
        (MakeConnector { config: self.config.clone(), is_used: is_used.clone() }, is_used)
    }
}

fn unusable(path: &Path, cause: impl Into<crate::BoxError>) -> PostgresError {
    PostgresError::Certificate { path: path.to_owned(), cause: cause.into() }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, PostgresError> {
    let found = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let found: Vec<_> = found.map_err(|cause| unusable(path, cause))?;
    if found.is_empty() { Err(unusable(path, "it contains no certificate")) } else { Ok(found) }
}

/// Certificates that are trusted.
#[derive(Debug)]
struct Trusted {
    certificates: Vec<CertificateDer<'static>>,
    /// Whether a server's own certificate may be among them.
    may_be_own: bool,
}

impl Trusted {
    fn read(from: Roots) -> Result<Self, PostgresError> {
        Ok(match from {
            Roots::System => Self { certificates: rustls_native_certs::load_native_certs().certs, may_be_own: false },
            Roots::File(path) => Self { certificates: certificates(&path)?, may_be_own: true },
        })
    }

    fn verify(
        &self,
        end_entity: &CertificateDer<'_>,
        certificate: &ParsedCertificate<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
        algorithms: &[&dyn SignatureVerificationAlgorithm],
    ) -> Result<(), rustls::Error> {
        let verify = |certificate: &ParsedCertificate<'_>, roots: &RootCertStore| {
            verify_server_cert_signed_by_trust_anchor(certificate, roots, intermediates, now, algorithms)
        };
        // The dates of a certificate are checked before all else, and here nothing else counts.
        let nothing = RootCertStore::empty();
        let check_dates = |certificate: &ParsedCertificate<'_>| match verify(certificate, &nothing) {
            Err(error) if is_about_dates(&error) => Err(error),
            _ => Ok(()),
        };
        // A self-signed certificate is its own root. OpenSSL accepts it, but as an authority it may not sign for a server.
        if self.may_be_own && self.certificates.contains(end_entity) {
            return check_dates(certificate);
        }
        // As with OpenSSL, an authority's dates count, too. rustls does not check them.
        let (mut roots, mut outdated) = (RootCertStore::empty(), RootCertStore::empty());
        let mut reason = None;
        for authority in &self.certificates {
            // Others of the file or of the system may serve.
            match ParsedCertificate::try_from(authority).map(|authority| check_dates(&authority)) {
                Ok(Err(error)) => {
                    outdated.add_parsable_certificates([authority.clone()]);
                    reason = Some(error);
                }
                _ => {
                    roots.add_parsable_certificates([authority.clone()]);
                }
            }
        }
        match verify(certificate, &roots) {
            Err(error) => Err(reason.filter(|_| verify(certificate, &outdated).is_ok()).unwrap_or(error)),
            ok => ok,
        }
    }
}

fn is_about_dates(error: &rustls::Error) -> bool {
    use CertificateError::{Expired, ExpiredContext, NotValidYet, NotValidYetContext};

    let rustls::Error::InvalidCertificate(error) = error else { return false };
    matches!(error, Expired | ExpiredContext { .. } | NotValidYet | NotValidYetContext { .. })
}

/// Checks the server's certificate as far as the mode demands it. It always checks that the server has the key.
#[derive(Debug)]
struct Verifier {
    roots: Option<Trusted>,
    checks_name: bool,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if let Some(trusted) = &self.roots {
            let certificate = ParsedCertificate::try_from(end_entity)?;
            let algorithms = self.provider.signature_verification_algorithms.all;
            trusted.verify(end_entity, &certificate, intermediates, now, algorithms)?;
            if self.checks_name {
                verify_server_name(&certificate, name)?;
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Makes the connector for a host.
#[derive(Clone)]
pub(super) struct MakeConnector {
    config: Arc<ClientConfig>,
    is_used: Arc<AtomicBool>,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> MakeTlsConnect<S> for MakeConnector {
    type Stream = Stream<S>;
    type TlsConnect = Connector;
    type Error = io::Error;

    fn make_tls_connect(&mut self, host: &str) -> io::Result<Connector> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "the host is neither a name nor an address"))?;
        Ok(Connector { name, make: self.clone() })
    }
}

/// Connects to one host.
pub(super) struct Connector {
    name: ServerName<'static>,
    make: MakeConnector,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> TlsConnect<S> for Connector {
    type Stream = Stream<S>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Stream<S>>> + Send>>;

    fn connect(self, stream: S) -> Self::Future {
        self.make.is_used.store(true, Ordering::SeqCst);
        Box::pin(async move { TlsConnector::from(self.make.config).connect(self.name, stream).await.map(Stream) })
    }
}

/// A TLS stream without channel bindings.
pub(super) struct Stream<S>(tokio_rustls::client::TlsStream<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream for Stream<S> {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Stream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Stream<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
