//! The listeners: their addresses, and the TLS of the one for clients, from `server.tls`. Because the TLS belongs to the
//! snapshot, a reload replaces the certificate, and a reload with a certificate that cannot be used is refused as a whole.

use std::time::{Duration, SystemTime};

use super::resolve::Resolver;
use crate::{
    config::Http2,
    tls::{self, CertificateMistake, Served},
};

/// How long before its end a certificate is reported.
const NOTICE: Duration = Duration::from_hours(14 * 24);

impl Resolver<'_> {
    /// The addresses of the listeners. Whether they are free is known when they are bound.
    pub(super) fn listeners(&mut self) {
        let config = &self.loaded.config;
        let listen = &config.server.listen;
        let operator = config.operator.as_ref().map(|operator| &operator.listen);
        let places = [("server.listen", Some(listen)), ("operator.listen", operator)];
        for (at, address) in places.into_iter().filter_map(|(at, address)| Some((at, address?))) {
            let is_address =
                address.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
            if !is_address {
                self.mistake(at, "is not an address with a port, such as \"127.0.0.1:8080\"");
            }
        }
        if operator == Some(listen) && !listen.ends_with(":0") {
            self.mistake("operator.listen", "is the address of `server.listen`; choose another port");
        }
    }

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

#[cfg(test)]
mod tests {
    use crate::{config::load_text, merchant::Gateway, upstream::Shared};

    /// The mistakes in the addresses of a configuration.
    fn mistakes(server: &str, operator: &str) -> Vec<String> {
        let text = format!(
            "[server]\nlisten = \"{server}\"\n[operator]\nlisten = \"{operator}\"\n[merchants.acme]\napi_keys = [\"sk_sandbox_0123456789abcdef\"]\n\
             active = \"main\"\nconnections.main = {{ provider = \"lomi\", sandbox = true }}\n"
        );
        let loaded = load_text(&text, "p.toml").expect("a configuration");
        Gateway::resolve(&loaded, None, &Shared::default()).map_or_else(|error| error.mistakes, |_| Vec::new())
    }

    #[test]
    fn an_address_that_cannot_be_bound_is_a_mistake() {
        for good in ["127.0.0.1:8080", "[::1]:8080", "localhost:8080", "0.0.0.0:0"] {
            assert_eq!(mistakes(good, "127.0.0.1:9464"), Vec::<String>::new(), "{good}");
        }
        for wrong in ["127.0.0.1:99999", "localhost", "8080", ":8080", ""] {
            let found = mistakes(wrong, "127.0.0.1:9464");
            assert!(found.len() == 1 && found[0].contains("server.listen"), "{wrong}: {found:?}");
        }
        let same = mistakes("127.0.0.1:8080", "127.0.0.1:8080");
        assert!(same.len() == 1 && same[0].contains("operator.listen"), "{same:?}");
    }
}
