//! TLS in front of a stand-in, and the certificates for it.

use std::{io::Write, net::SocketAddr, sync::Arc};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::{
    ServerConfig, SupportedProtocolVersion,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
    version::{TLS12, TLS13},
};
use tempfile::NamedTempFile;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

use crate::stand_in::{PATIENCE, StandIn};

/// How often a request is begun that is surely not sent.
pub(crate) const ATTEMPTS: usize = 3;

/// A certificate authority that nobody trusts who was not told to.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a certificate"))
    }

    /// What SSL_CERT_FILE may name.
    pub(crate) fn file(&self) -> NamedTempFile {
        let mut file = NamedTempFile::new().expect("a file");
        file.write_all(self.0.pem().as_bytes()).expect("it is written");
        file
    }

    /// A certificate for a name.
    pub(crate) fn certificate(&self, name: &str) -> Certificate {
        self.sign(CertificateParams::new([name.to_owned()]).expect("a name"))
    }

    /// One that was good for a name, long ago.
    pub(crate) fn expired(&self, name: &str) -> Certificate {
        let mut params = CertificateParams::new([name.to_owned()]).expect("a name");
        (params.not_before, params.not_after) = (date_time_ymd(2001, 1, 1), date_time_ymd(2002, 1, 1));
        self.sign(params)
    }

    fn sign(&self, params: CertificateParams) -> Certificate {
        let key = KeyPair::generate().expect("a key");
        let signed = params.signed_by(&key, &self.0).expect("a certificate");
        Certificate { signed: signed.der().clone(), key: PrivatePkcs8KeyDer::from(key.serialize_der()).into() }
    }
}

/// A certificate and its key.
pub(crate) struct Certificate {
    signed: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

/// TLS in front of a stand-in. Where a handshake fails, nothing is passed on, because nothing was sent.
pub(crate) struct Door {
    pub(crate) address: SocketAddr,
    pub(crate) tried: mpsc::UnboundedReceiver<Result<(), String>>,
}

impl Door {
    pub(crate) async fn before(vendor: &StandIn, certificate: Certificate) -> Self {
        Self::to(vendor.address(), certificate).await
    }

    /// The same in front of anything.
    pub(crate) async fn to(behind: SocketAddr, certificate: Certificate) -> Self {
        Self::speaking(&[&TLS13, &TLS12], behind, certificate).await
    }

    pub(crate) async fn speaking(
        versions: &[&'static SupportedProtocolVersion],
        behind: SocketAddr,
        certificate: Certificate,
    ) -> Self {
        let acceptor = TlsAcceptor::from(Arc::new(configured(versions, certificate)));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (told, tried) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(open(acceptor.clone(), stream, behind, told.clone()));
            }
        });
        Self { address, tried }
    }

    pub(crate) fn url(&self, host: &str) -> String {
        format!("https://{host}:{}", self.address.port())
    }

    /// How the next handshake ended.
    pub(crate) async fn tried(&mut self) -> Result<(), String> {
        timeout(PATIENCE, self.tried.recv()).await.expect("somebody tries in time").expect("a door that stands")
    }

    /// Holds that every attempt of a request ended with the same alert.
    pub(crate) async fn refused(&mut self, alert: &str) {
        for _ in 0..ATTEMPTS {
            let told = self.tried().await.expect_err("a handshake that fails");
            assert!(told.contains(alert), "{told}");
        }
        assert!(self.tried.try_recv().is_err(), "three attempts in all");
    }
}

/// What a server needs that shows a certificate.
pub(crate) fn configured(
    versions: &[&'static SupportedProtocolVersion],
    Certificate { signed, key }: Certificate,
) -> ServerConfig {
    ServerConfig::builder_with_provider(aws_lc_rs::default_provider().into())
        .with_protocol_versions(versions)
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![signed], key)
        .expect("a certificate and its key")
}

async fn open(
    acceptor: TlsAcceptor,
    stream: TcpStream,
    behind: SocketAddr,
    told: mpsc::UnboundedSender<Result<(), String>>,
) {
    match acceptor.accept(stream).await {
        Ok(mut stream) => {
            let _ = told.send(Ok(()));
            let mut behind = TcpStream::connect(behind).await.expect("the stand-in");
            let _ = tokio::io::copy_bidirectional(&mut stream, &mut behind).await;
        }
        Err(error) => {
            let _ = told.send(Err(error.to_string()));
        }
    }
}
