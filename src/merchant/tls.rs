//! The TLS of the API's listener, from `server.tls`. Because it belongs to the snapshot, a reload replaces the certificate,
//! and a reload with a certificate that cannot be used is refused as a whole.

use std::time::{Duration, SystemTime};

use super::resolve::Resolver;
use crate::{
    config::Http2,
    tls::{self, CertificateMistake, Served},
};

/// How long before its end a certificate is reported.
const NOTICE: Duration = Duration::from_hours(14 * 24);

impl Resolver<'_> {
    /// Loads the certificate and its key, if TLS is configured.
    pub(super) fn tls(&mut self) -> Option<Served> {
        let server = &self.loaded.config.server;
        let typed = server.tls.as_ref()?;
        let found = [("certificate", &typed.certificate), ("key", &typed.key)].map(|(key, file)| {
            let found = self.loaded.folder().find(file);
            found.map_err(|what| self.mistake(&format!("server.tls.{key}"), what)).ok()
        });
        let [Some(certificate), Some(key)] = found else { return None };
        match tls::for_clients(&certificate, &key, server.http2 != Http2::Off) {
            Ok(served) => {
                if served.expires < SystemTime::now() + NOTICE {
                    let date = tls::date(served.expires);
                    self.warn("server.tls.certificate", format!("expires at {date}; replace it, and reload"));
                }
                Some(served)
            }
            Err(CertificateMistake::Certificate(what)) => {
                self.mistake("server.tls.certificate", what);
                None
            }
            Err(CertificateMistake::Key(what)) => {
                self.mistake("server.tls.key", what);
                None
            }
        }
    }
}
