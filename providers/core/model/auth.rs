//! How requests prove who sends them: a header with a secret, or a signature by a pure function of the
//! finished request, the secret, the time and a nonce. Secrets never enter a plan; they are added just
//! before the wire, afresh for every attempt.

use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use http::{HeaderName, HeaderValue};

use crate::model::{Error, Kind, Request};

/// Named secrets of one connection. `Debug` shows the names only.
#[derive(Clone, Default)]
pub struct Credentials(Vec<(String, String)>);

impl Credentials {
    /// Gathers named secrets.
    pub fn new(named: impl IntoIterator<Item = (String, String)>) -> Self {
        Self(named.into_iter().collect())
    }

    /// A secret by its name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, secret)| secret.as_str())
    }

    /// The names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// The secrets, for finding them where they must not be.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(_, secret)| secret.as_str())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.names()).finish()
    }
}

/// What a signature needs besides the request and the secret.
#[derive(Debug, Clone, Copy)]
pub struct Stamp {
    /// Unix time in seconds.
    pub now: i64,
    /// Sixteen random bytes, new for every attempt.
    pub nonce: [u8; 16],
}

/// Signs a finished request in place.
pub type SignRequest = fn(&mut Request, &Credentials, &Stamp) -> Result<(), Error>;

/// Checks a signed request that was received at a time in Unix seconds.
pub type VerifyRequest = fn(&Request, &Credentials, i64) -> Result<(), Error>;

/// One way to authorize requests.
#[derive(Debug)]
pub enum AuthScheme {
    /// A secret in a header.
    Header {
        /// The name of the credential.
        credential: &'static str,
        /// The header, in lower case.
        name: &'static str,
        /// What stands before the secret.
        prefix: &'static str,
    },
    /// A signature over the request.
    Signed {
        /// The names of the credentials.
        credentials: &'static [&'static str],
        /// The headers that the signature adds, in lower case.
        headers: &'static [&'static str],
        /// Signs.
        sign: SignRequest,
        /// Verifies.
        verify: VerifyRequest,
        /// How a gateway that speaks as the provider knows who signed.
        ingress: Ingress,
    },
}

/// What a gateway is told of a client that signs, and how it finds it again in a request.
#[derive(Debug)]
pub struct Ingress {
    /// The configured name of the signer.
    pub signer: &'static str,
    /// The header that tells the signer, in lower case.
    pub signer_header: &'static str,
    /// Whether the key alone decides where no signer is configured.
    pub signer_is_optional: bool,
    /// The configured name of what verifies.
    pub key: &'static str,
    /// Whether that must be kept secret.
    pub key_is_secret: bool,
    /// What is wrong with a key, if its form is.
    pub key_mistake: fn(&str) -> Option<&'static str>,
    /// The header that no two requests share, in lower case.
    pub once_header: &'static str,
    /// Whether it is drawn afresh for each request. Else two that are alike, and are signed in one second, share it.
    pub has_nonce: bool,
}

impl AuthScheme {
    /// The names of the credentials it needs.
    pub const fn credentials(&self) -> &[&'static str] {
        match self {
            Self::Header { credential, .. } => std::slice::from_ref(credential),
            Self::Signed { credentials, .. } => credentials,
        }
    }

    /// The headers it adds, with what may be shown of them.
    pub fn masked(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Header { name, prefix, .. } => vec![(name, format!("{prefix}***"))],
            Self::Signed { headers, .. } => headers.iter().map(|name| (*name, "***".to_owned())).collect(),
        }
    }

    /// The header that is the same for every request, where the secret itself is sent.
    pub fn constant_header(&self, credentials: &Credentials) -> Result<Option<(HeaderName, HeaderValue)>, Error> {
        match self {
            Self::Header { credential, name, prefix } => {
                let value = sensitive(&format!("{prefix}{}", required(credentials, credential)?))?;
                Ok(Some((HeaderName::from_static(name), value)))
            }
            Self::Signed { .. } => Ok(None),
        }
    }

    /// Adds the secret or the signature to a finished request.
    pub fn authorize(&self, request: &mut Request, credentials: &Credentials, stamp: &Stamp) -> Result<(), Error> {
        match self {
            Self::Header { .. } => {
                if let Some((name, value)) = self.constant_header(credentials)? {
                    request.headers_mut().insert(name, value);
                }
                Ok(())
            }
            Self::Signed { sign, .. } => sign(request, credentials, stamp),
        }
    }

    /// The secret that a client sent in the header; `None` where it sent none, or signed.
    pub fn presented<'r>(&self, request: &'r Request) -> Option<&'r str> {
        let Self::Header { name, prefix, .. } = self else { return None };
        strip_scheme(header(request, name), prefix).filter(|presented| !presented.is_empty())
    }

    /// Whether a client uses this way: it sent a secret, or everything that a signature has.
    pub fn is_used(&self, request: &Request) -> bool {
        match self {
            Self::Header { .. } => self.presented(request).is_some(),
            Self::Signed { headers, .. } => headers.iter().all(|name| request.headers().contains_key(*name)),
        }
    }

    /// Checks what a client presented. Without known credentials, that something was presented.
    pub fn verify(&self, request: &Request, expected: &Credentials, now: i64) -> Result<(), Error> {
        match self {
            Self::Header { credential, .. } => match (self.presented(request), expected.get(credential)) {
                (None, _) => Err(refused("no key was presented")),
                (Some(presented), Some(secret)) if !same_secret(presented, secret) => {
                    Err(refused("the key is not known"))
                }
                _ => Ok(()),
            },
            Self::Signed { verify, .. } => {
                if !self.is_used(request) {
                    return Err(refused("the request is not signed"));
                }
                match expected.is_empty() {
                    true => Ok(()),
                    // What verifies is not always what signs: a public key will do for some. The verifier
                    // refuses when it knows neither.
                    false => verify(request, expected, now),
                }
            }
        }
    }
}

/// A credential that a signature needs.
pub fn required<'c>(credentials: &'c Credentials, name: &str) -> Result<&'c str, Error> {
    credentials.get(name).ok_or_else(|| refused("a credential is missing in the configuration"))
}

/// A header value that no log shows.
pub fn sensitive(value: &str) -> Result<HeaderValue, Error> {
    let mut value = HeaderValue::from_str(value)
        .map_err(|_| refused("a credential has characters that cannot stand in a header"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// The text of a header, or nothing.
pub fn header<'r>(request: &'r Request, name: &str) -> &'r str {
    request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// Credentials that were refused, by us or by a twin.
pub fn refused(why: &'static str) -> Error {
    Error::new(Kind::Unauthorized, why)
}

/// Compares secrets in a time that does not depend on where they differ.
pub fn same_secret(presented: &str, known: &str) -> bool {
    verify_slices_are_equal(presented.as_bytes(), known.as_bytes()).is_ok()
}

fn strip_scheme<'v>(value: &'v str, prefix: &str) -> Option<&'v str> {
    let (scheme, rest) = value.split_at_checked(prefix.len())?;
    scheme.eq_ignore_ascii_case(prefix).then(|| rest.trim())
}
