//! The TLS configuration for every connection of this process: rustls with aws-lc-rs. For the connections that it opens, the
//! certificate authorities that the system trusts; for those of clients, the certificate that the operator configured.

use std::{
    fmt,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use jiff::Timestamp;
use rustls::{
    ClientConfig, InconsistentKeys, RootCertStore, ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
};
use x509_cert::{Certificate, der::Decode};

/// Trusts the certificate authorities that the system trusts. If there are none, the error says what to install.
pub(crate) fn with_system_roots() -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    match roots.is_empty() {
        true => Err("this system trusts no certificate authority: install `ca-certificates`, or name a file of \
                     certificates in SSL_CERT_FILE"
            .to_owned()),
        false => with_roots(roots),
    }
}

/// Trusts no certificate authority. It is for clients that call only servers without TLS, such as the twins in this process.
pub(crate) fn without_roots() -> Result<ClientConfig, String> {
    with_roots(RootCertStore::empty())
}

fn with_roots(roots: RootCertStore) -> Result<ClientConfig, String> {
    let config = ClientConfig::builder_with_provider(aws_lc_rs::default_provider().into())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// The TLS of a listener.
#[derive(Clone)]
pub struct Served {
    /// What a handshake needs.
    pub config: Arc<ServerConfig>,
    /// When the certificate expires.
    pub expires: SystemTime,
}

impl fmt::Debug for Served {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Served").field("expires", &self.expires).finish_non_exhaustive()
    }
}

/// Which of the two files of a listener cannot be used, and why.
#[derive(Debug)]
pub(crate) enum CertificateMistake {
    Certificate(String),
    Key(String),
}

/// Reads the certificate and the key of a listener. Clients may choose HTTP/2 if `http2` is true.
pub(crate) fn for_clients(certificate: &Path, key: &Path, http2: bool) -> Result<Served, CertificateMistake> {
    use CertificateMistake::{Certificate as OfCertificate, Key as OfKey};
    let chain = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let chain = chain.map_err(|error| OfCertificate(unreadable(certificate, error, "certificate")))?;
    let first = chain.first().ok_or_else(|| OfCertificate(without(certificate, "certificate")))?;
    let expires =
        expires(first).map_err(|what| OfCertificate(format!("names the file {}, {what}", certificate.display())))?;
    let key_error = |error| OfKey(unreadable(key, error, "private key"));
    let private_key = PrivateKeyDer::from_pem_file(key).map_err(key_error)?;
    let config = ServerConfig::builder_with_provider(aws_lc_rs::default_provider().into())
        .with_safe_default_protocol_versions()
        .map_err(|error| OfCertificate(format!("cannot be used: {error}")))?
        .with_no_client_auth()
        .with_single_cert(chain, private_key);
    let mut config = config.map_err(|error| match error {
        rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => OfKey(format!(
            "names the file {}, whose key is not the one of the certificate in {}; name the two files that were made together",
            key.display(),
            certificate.display()
        )),
        error => OfKey(format!("names the file {}, whose key cannot be used: {error}", key.display())),
    })?;
    let protocols: &[&[u8]] = if http2 { &[b"h2", b"http/1.1"] } else { &[b"http/1.1"] };
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(Served { config: Arc::new(config), expires })
}

fn unreadable(path: &Path, error: pem::Error, what: &str) -> String {
    match error {
        pem::Error::Io(error) => format!("names the file {}, which cannot be read: {error}", path.display()),
        pem::Error::NoItemsFound => without(path, what),
        error => format!("names the file {}, which is not valid PEM: {error}", path.display()),
    }
}

fn without(path: &Path, what: &str) -> String {
    format!("names the file {}, which has no {what} in PEM (`-----BEGIN …-----`)", path.display())
}

/// When a certificate expires. It is refused if it has expired, or is not valid yet.
fn expires(certificate: &CertificateDer<'_>) -> Result<SystemTime, String> {
    let certificate = Certificate::from_der(certificate)
        .map_err(|error| format!("whose first certificate cannot be decoded: {error}"))?;
    let validity = certificate.tbs_certificate.validity;
    let [begins, ends] = [validity.not_before, validity.not_after].map(|time| time.to_system_time());
    let now = SystemTime::now();
    if ends < now {
        return Err(format!("whose certificate expired at {}; replace it", date(ends)));
    }
    if begins > now {
        return Err(format!("whose certificate is valid only from {} on; check the clock", date(begins)));
    }
    Ok(ends)
}

/// A time as operators read it.
pub(crate) fn date(time: SystemTime) -> String {
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
    let time = i64::try_from(seconds).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    time.map_or_else(|| "an unknown time".to_owned(), |time| time.to_string())
}
