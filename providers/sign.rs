//! How requests prove who sends them: a header with a secret, or a signature by a pure function of the
//! finished request, the secret, the time and a nonce. Secrets never enter a plan; they are added just
//! before the wire, afresh for every attempt.

use std::fmt;

use aws_lc_rs::{constant_time::verify_slices_are_equal, hmac};
use http::{HeaderName, HeaderValue};

use crate::{
    error::{Error, Kind},
    plan::Request,
};

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

/// How far the time of a signature may be from now, in seconds.
pub const WINDOW: i64 = 300;

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

/// Adds the headers of a signature. Their values are marked as sensitive.
pub fn add_headers<const N: usize>(
    request: &mut Request,
    names: [&'static str; N],
    values: [&str; N],
) -> Result<(), Error> {
    names.into_iter().zip(values).try_for_each(|(name, value)| {
        request.headers_mut().insert(HeaderName::from_static(name), sensitive(value)?);
        Ok(())
    })
}

fn sensitive(value: &str) -> Result<HeaderValue, Error> {
    let mut value = HeaderValue::from_str(value)
        .map_err(|_| refused("a credential has characters that cannot stand in a header"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// The text of a header, or nothing.
pub fn header<'r>(request: &'r Request, name: &str) -> &'r str {
    request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// A time in Unix seconds, as signatures tell it.
pub fn seconds(told: &str) -> Result<i64, Error> {
    told.parse().map_err(|_| refused("a time of the signature is none"))
}

/// The same, refused where it is further from now than the window.
pub fn recent(told: &str, now: i64) -> Result<i64, Error> {
    let told = seconds(told)?;
    match now.abs_diff(told) <= WINDOW.unsigned_abs() {
        true => Ok(told),
        false => Err(refused("the signature is not of this time")),
    }
}

/// Credentials that were refused, by us or by a twin.
pub fn refused(why: &'static str) -> Error {
    Error::new(Kind::Unauthorized, why)
}

/// Compares secrets in a time that does not depend on where they differ.
pub fn same_secret(presented: &str, known: &str) -> bool {
    verify_slices_are_equal(presented.as_bytes(), known.as_bytes()).is_ok()
}

/// The HMAC-SHA256 of a message, in lower-case hexadecimal.
pub fn hmac_sha256(secret: &str, message: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    hex(hmac::sign(&key, message).as_ref())
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The bytes of hexadecimal text, with or without `0x`.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    if !digits.is_ascii() || !digits.len().is_multiple_of(2) {
        return None;
    }
    (0..digits.len()).step_by(2).map(|place| u8::from_str_radix(&digits[place..place + 2], 16).ok()).collect()
}

fn strip_scheme<'v>(value: &'v str, prefix: &str) -> Option<&'v str> {
    let (scheme, rest) = value.split_at_checked(prefix.len())?;
    scheme.eq_ignore_ascii_case(prefix).then(|| rest.trim())
}
