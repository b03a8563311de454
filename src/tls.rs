//! The TLS configuration for every connection that this process opens: rustls with aws-lc-rs, and the certificate
//! authorities that the system trusts.

use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};

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

/// Trusts no certificate authority. It is for connections to the twins in this process, which use no TLS.
pub(crate) fn without_roots() -> Result<ClientConfig, String> {
    with_roots(RootCertStore::empty())
}

fn with_roots(roots: RootCertStore) -> Result<ClientConfig, String> {
    let config = ClientConfig::builder_with_provider(aws_lc_rs::default_provider().into())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}
