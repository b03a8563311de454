//! TLS in front of a stand-in, and certificates for it. A handshake that fails passes nothing on.

use std::{io::Write, net::SocketAddr, sync::Arc};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion,
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

/// How often the gateway tries to connect before it gives a request up that it has not sent.
pub(crate) const ATTEMPTS: usize = 3;

/// A certificate authority. Only a process that is configured with its file trusts it.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a certificate"))
    }

    /// A file with the certificate of the authority, for SSL_CERT_FILE.
    pub(crate) fn file(&self) -> NamedTempFile {
        let mut file = NamedTempFile::new().expect("a file");
        file.write_all(self.0.pem().as_bytes()).expect("the file is written");
        file
    }

    /// A client that trusts the authority, and offers these protocols of HTTP.
    pub(crate) fn client(&self, versions: &[&'static SupportedProtocolVersion], protocols: &[&str]) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).expect("a certificate");
        let mut config = ClientConfig::builder_with_provider(aws_lc_rs::default_provider().into())
            .with_protocol_versions(versions)
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        config
    }

    /// A certificate for a host name.
    pub(crate) fn certificate(&self, name: &str) -> Certificate {
        self.sign(CertificateParams::new([name.to_owned()]).expect("a name"))
    }

    /// A certificate for a host name that expired long ago.
    pub(crate) fn expired(&self, name: &str) -> Certificate {
        self.until(name, 2002)
    }

    /// A certificate for a host name that expires at the beginning of a year.
    pub(crate) fn until(&self, name: &str, year: i32) -> Certificate {
        let mut params = CertificateParams::new([name.to_owned()]).expect("a name");
        (params.not_before, params.not_after) = (date_time_ymd(2001, 1, 1), date_time_ymd(year, 1, 1));
        self.sign(params)
    }

    fn sign(&self, params: CertificateParams) -> Certificate {
        let key = KeyPair::generate().expect("a key");
        let signed = params.signed_by(&key, &self.0).expect("a certificate");
        Certificate {
            signed: signed.der().clone(),
            key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
            pem: signed.pem(),
            key_pem: key.serialize_pem(),
        }
    }
}

/// A certificate and its key.
pub(crate) struct Certificate {
    pub(crate) signed: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
    /// Both as an operator stores them.
    pub(crate) pem: String,
    pub(crate) key_pem: String,
}

/// A TLS server that passes the decrypted bytes on to a stand-in.
pub(crate) struct TlsFront {
    pub(crate) address: SocketAddr,
    pub(crate) handshakes: mpsc::UnboundedReceiver<Result<(), String>>,
}

impl TlsFront {
    pub(crate) async fn in_front_of(vendor: &StandIn, certificate: Certificate) -> Self {
        Self::to(vendor.address(), certificate).await
    }

    /// Passes the bytes on to any address.
    pub(crate) async fn to(target: SocketAddr, certificate: Certificate) -> Self {
        Self::with_versions(&[&TLS13, &TLS12], target, certificate).await
    }

    pub(crate) async fn with_versions(
        versions: &[&'static SupportedProtocolVersion],
        target: SocketAddr,
        certificate: Certificate,
    ) -> Self {
        let acceptor = TlsAcceptor::from(Arc::new(server_config(versions, certificate)));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (sender, handshakes) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(acceptor.clone(), stream, target, sender.clone()));
            }
        });
        Self { address, handshakes }
    }

    pub(crate) fn url(&self, host: &str) -> String {
        format!("https://{host}:{}", self.address.port())
    }

    /// The result of the next handshake.
    pub(crate) async fn handshake(&mut self) -> Result<(), String> {
        timeout(PATIENCE, self.handshakes.recv())
            .await
            .expect("a client connects in time")
            .expect("the server still runs")
    }

    /// Asserts that all attempts of one request ended with this alert.
    pub(crate) async fn assert_refused(&mut self, alert: &str) {
        for _ in 0..ATTEMPTS {
            let error = self.handshake().await.expect_err("a handshake that fails");
            assert!(error.contains(alert), "{error}");
        }
        assert!(self.handshakes.try_recv().is_err(), "three attempts in all");
    }
}

/// The configuration of a server with this certificate.
pub(crate) fn server_config(
    versions: &[&'static SupportedProtocolVersion],
    Certificate { signed, key, .. }: Certificate,
) -> ServerConfig {
    ServerConfig::builder_with_provider(aws_lc_rs::default_provider().into())
        .with_protocol_versions(versions)
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![signed], key)
        .expect("a certificate and its key")
}

async fn serve(
    acceptor: TlsAcceptor,
    stream: TcpStream,
    target: SocketAddr,
    results: mpsc::UnboundedSender<Result<(), String>>,
) {
    match acceptor.accept(stream).await {
        Ok(mut stream) => {
            let _ = results.send(Ok(()));
            let mut target = TcpStream::connect(target).await.expect("the stand-in");
            let _ = tokio::io::copy_bidirectional(&mut stream, &mut target).await;
        }
        Err(error) => {
            let _ = results.send(Err(error.to_string()));
        }
    }
}
