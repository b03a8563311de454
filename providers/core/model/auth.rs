//! Authorization of requests: a header with a secret, or a signature. A signature is a pure function of the finished
//! request, the secrets, the time and a nonce.
//!
//! A plan never contains a secret. `src/upstream` authorizes a finished request just before it sends it, again for
//! every attempt. Drop-in and the twins verify requests with the same schemes.

use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use http::{HeaderName, HeaderValue};

use crate::model::{Error, Kind, Request};

/// The named secrets of one connection. `Debug` shows only the names.
#[derive(Clone, Default)]
pub struct Credentials(Vec<(String, String)>);

impl Credentials {
    /// Credentials from names and secrets.
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

    /// The secrets, for a search in texts that must not contain them.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(_, secret)| secret.as_str())
    }

    /// Whether there are no credentials.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.names()).finish()
    }
}

/// The input of a signature besides the request and the secret.
#[derive(Debug, Clone, Copy)]
pub struct Stamp {
    /// Unix time in seconds.
    pub now: i64,
    /// Sixteen random bytes, new for every attempt.
    pub nonce: [u8; 16],
}

/// Signs a finished request in place.
pub type SignRequest = fn(&mut Request, &Credentials, &Stamp) -> Result<(), Error>;

/// Verifies a signed request that was received at a time in Unix seconds.
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
        /// The text before the secret, such as `Bearer `.
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
        /// How drop-in identifies and verifies a client that signs.
        ingress: Ingress,
    },
}

/// The configuration of clients that sign their requests to drop-in, and the headers by which it identifies them.
#[derive(Debug)]
pub struct Ingress {
    /// The configuration key of the signer.
    pub signer: &'static str,
    /// The header with the signer, in lower case.
    pub signer_header: &'static str,
    /// Whether the configuration may omit the signer. A signature is then accepted if the key verifies it.
    pub signer_is_optional: bool,
    /// The configuration key of the verification key.
    pub key: &'static str,
    /// Whether the verification key is a secret.
    pub key_is_secret: bool,
    /// What is wrong with the form of a verification key; `None` if the form is right.
    pub key_error: fn(&str) -> Option<&'static str>,
    /// The header, in lower case, by which drop-in recognizes a replayed request. Drop-in refuses replays of writes.
    pub replay_header: &'static str,
    /// Whether the client generates that value randomly for each request. Otherwise two equal requests that are signed in
    /// the same second have the same value, although neither is a replay.
    pub has_nonce: bool,
}

impl AuthScheme {
    /// The names of the credentials that the scheme needs.
    pub const fn credentials(&self) -> &[&'static str] {
        match self {
            Self::Header { credential, .. } => std::slice::from_ref(credential),
            Self::Signed { credentials, .. } => credentials,
        }
    }

    /// The headers that the scheme adds, with masked values.
    pub fn masked(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Header { name, prefix, .. } => vec![(name, format!("{prefix}***"))],
            Self::Signed { headers, .. } => headers.iter().map(|name| (*name, "***".to_owned())).collect(),
        }
    }

    /// The header with the secret, which is the same for every request; `None` for a signature.
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

    /// The secret that a client sent in the header; `None` if it sent no secret, or if the scheme is a signature.
    pub fn presented<'r>(&self, request: &'r Request) -> Option<&'r str> {
        let Self::Header { name, prefix, .. } = self else { return None };
        strip_scheme(header(request, name), prefix).filter(|presented| !presented.is_empty())
    }

    /// Whether a client's request uses this scheme: it has a secret, or all headers of a signature.
    pub fn is_used(&self, request: &Request) -> bool {
        match self {
            Self::Header { .. } => self.presented(request).is_some(),
            Self::Signed { headers, .. } => headers.iter().all(|name| request.headers().contains_key(*name)),
        }
    }

    /// Verifies a client's request. Without expected credentials, it only has to use the scheme.
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
                    // A signature may be verified with another credential than the one that signs, such as a public
                    // key. The verifier refuses the request if neither credential is known.
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

/// A header value that logs and `Debug` do not show.
pub fn sensitive(value: &str) -> Result<HeaderValue, Error> {
    let mut value = HeaderValue::from_str(value).map_err(|_| {
        refused("a credential has characters that are not allowed in a header; check it in the configuration")
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// The text of a header; empty if the header is missing.
pub fn header<'r>(request: &'r Request, name: &str) -> &'r str {
    request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// The error for credentials that the gateway or a twin refuses.
pub fn refused(why: &'static str) -> Error {
    Error::new(Kind::Unauthorized, why)
}

/// Compares secrets in constant time.
pub fn same_secret(presented: &str, known: &str) -> bool {
    verify_slices_are_equal(presented.as_bytes(), known.as_bytes()).is_ok()
}

fn strip_scheme<'v>(value: &'v str, prefix: &str) -> Option<&'v str> {
    let (scheme, rest) = value.split_at_checked(prefix.len())?;
    scheme.eq_ignore_ascii_case(prefix).then(|| rest.trim())
}
