//! Sessions of the console. A session is a cookie and nothing else: it holds the digest of the operator's key and an end,
//! sealed with a key that derives from the store's own secret. So every replica accepts it, and a browser can neither read
//! nor change it. It ends after eight hours, at logout, and when its key leaves the configuration.

use std::{
    collections::HashMap,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderValue, header};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretBox};
use uuid::Uuid;

use crate::{chance, clock};

/// How long a session lasts, in seconds.
const LIFE: i64 = 8 * 60 * 60;

/// What the sealed bytes are for, so that they open nowhere else.
const PURPOSE: &[u8] = b"passerelle console session 1";

/// The cookie over TLS. Browsers accept a name that begins like this only from the host itself, over TLS, for `/`.
const SECURE_COOKIE: &str = "__Host-passerelle-console";
/// The cookie without TLS.
const COOKIE: &str = "passerelle-console";

/// The most sessions that are remembered as ended. Only operators can end one, and each is forgotten after its time.
const MOST_ENDED: usize = 10_000;

/// Seals and opens the sessions of the console.
pub(super) struct Sessions {
    key: Option<RandomizedNonceKey>,
    /// The sessions that were logged out of at this process, with the times when they end by themselves.
    ended: Mutex<HashMap<Uuid, i64>>,
}

impl fmt::Debug for Sessions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Sessions([redacted])")
    }
}

/// What a cookie says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Session {
    id: Uuid,
    /// When it ends, in seconds since 1970.
    until: i64,
    /// The digest of the operator's key.
    pub(super) key: [u8; 32],
}

impl Session {
    fn written(self) -> Vec<u8> {
        [self.id.as_bytes().as_slice(), &self.until.to_be_bytes(), &self.key].concat()
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (id, rest) = bytes.split_first_chunk::<16>()?;
        let (until, rest) = rest.split_first_chunk::<8>()?;
        let key = <[u8; 32]>::try_from(rest).ok()?;
        Some(Self { id: Uuid::from_bytes(*id), until: i64::from_be_bytes(*until), key })
    }
}

impl Sessions {
    /// Sessions that are sealed with this key.
    pub(super) fn new(key: &SecretBox<[u8; 32]>) -> Self {
        Self { key: RandomizedNonceKey::new(&AES_256_GCM, key.expose_secret()).ok(), ended: Mutex::default() }
    }

    /// Begins a session for the operator's key with this digest. The text is the value of its cookie.
    fn begin(&self, key: [u8; 32], now: Timestamp) -> Option<String> {
        let session = Session { id: chance::id(), until: now.as_second() + LIFE, key };
        let mut bytes = session.written();
        let nonce = self.key.as_ref()?.seal_in_place_append_tag(Aad::from(PURPOSE), &mut bytes).ok()?;
        Some(URL_SAFE_NO_PAD.encode([nonce.as_ref().as_slice(), &bytes].concat()))
    }

    /// Opens the value of a cookie, if the session has not ended.
    fn open(&self, text: &str, now: Timestamp) -> Option<Session> {
        let mut sealed = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (nonce, bytes) = sealed.split_at_mut_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let opened = self.key.as_ref()?.open_in_place(nonce, Aad::from(PURPOSE), bytes).ok()?;
        let session = Session::read(opened)?;
        // A clock that was wrong for a while must not make a session that never ends.
        let is_in_time = (now.as_second()..=now.as_second() + LIFE).contains(&session.until);
        (is_in_time && !self.ended().contains_key(&session.id)).then_some(session)
    }

    /// The session of a request.
    pub(super) fn of(&self, headers: &HeaderMap) -> Option<Session> {
        let now = clock::now();
        cookies(headers).find_map(|value| self.open(value, now))
    }

    /// The header that begins a session.
    pub(super) fn cookie(&self, key: [u8; 32], headers: &HeaderMap) -> Option<HeaderValue> {
        let value = self.begin(key, clock::now())?;
        set_cookie(&value, LIFE, headers)
    }

    /// Ends the session of a request, also for a browser that keeps its cookie. Other replicas accept it until its time.
    pub(super) fn end(&self, headers: &HeaderMap) {
        let now = clock::now();
        let Some(session) = cookies(headers).find_map(|value| self.open(value, now)) else { return };
        let mut ended = self.ended();
        ended.retain(|_, until| *until >= now.as_second());
        if ended.len() < MOST_ENDED {
            ended.insert(session.id, session.until);
        }
    }

    fn ended(&self) -> MutexGuard<'_, HashMap<Uuid, i64>> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The header that removes the cookie.
pub(super) fn removed(headers: &HeaderMap) -> Option<HeaderValue> {
    set_cookie("", 0, headers)
}

/// The listener itself has no TLS. A proxy in front of it that has says so in `X-Forwarded-Proto`. A client that says it
/// without such a proxy gets a cookie that its browser does not send back.
fn is_over_tls(headers: &HeaderMap) -> bool {
    headers.get("x-forwarded-proto").is_some_and(|scheme| scheme.as_bytes().eq_ignore_ascii_case(b"https"))
}

fn set_cookie(value: &str, seconds: i64, headers: &HeaderMap) -> Option<HeaderValue> {
    let (name, secure) = if is_over_tls(headers) { (SECURE_COOKIE, "; Secure") } else { (COOKIE, "") };
    let text = format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}");
    let mut header = HeaderValue::try_from(text).ok()?;
    header.set_sensitive(true);
    Some(header)
}

/// The values of the console's cookies.
fn cookies(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|cookie| {
            let (name, value) = cookie.trim().split_once('=')?;
            [SECURE_COOKIE, COOKIE].contains(&name).then_some(value)
        })
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    const KEY: [u8; 32] = [7; 32];

    fn sessions(key: u8) -> Sessions {
        Sessions::new(&SecretBox::new(Box::new([key; 32])))
    }

    #[test]
    fn a_session_is_accepted_by_every_replica_until_eight_hours_have_passed() {
        let begun = clock::now();
        let cookie = sessions(1).begin(KEY, begun).expect("a cookie");
        let later = |hours: i64, seconds| begun + SignedDuration::from_secs(hours * 3600 + seconds);
        let open = |now| sessions(1).open(&cookie, now).map(|session| session.key);
        assert_eq!([open(begun), open(later(8, 0))], [Some(KEY); 2], "another process with the same store");
        assert_eq!(open(later(8, 1)), None);
        assert_eq!(open(later(-1, 0)), None, "it would last longer than a session does");
        assert!(sessions(2).open(&cookie, begun).is_none(), "another store");
    }

    #[test]
    fn a_changed_or_cut_cookie_opens_nothing() {
        let (sessions, now) = (sessions(1), clock::now());
        let cookie = sessions.begin(KEY, now).expect("a cookie");
        let length = URL_SAFE_NO_PAD.decode(&cookie).expect("bytes").len();
        assert_eq!(length, NONCE_LEN + 16 + 8 + 32 + 16);
        for place in 0..length {
            let mut bytes = URL_SAFE_NO_PAD.decode(&cookie).expect("bytes");
            bytes[place] ^= 1;
            assert!(sessions.open(&URL_SAFE_NO_PAD.encode(&bytes), now).is_none(), "byte {place}");
            assert!(sessions.open(&URL_SAFE_NO_PAD.encode(&bytes[..place]), now).is_none());
        }
    }

    #[test]
    fn a_session_that_was_ended_is_not_accepted_again() {
        let sessions = sessions(1);
        let cookie = sessions.begin(KEY, clock::now()).expect("a cookie");
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, format!("a=b; {COOKIE}={cookie}").parse().expect("a header"));
        assert!(sessions.of(&headers).is_some());
        sessions.end(&headers);
        assert!(sessions.of(&headers).is_none());
    }

    #[test]
    fn behind_tls_the_cookie_is_for_this_host_and_tls_only() {
        let mut headers = HeaderMap::new();
        let plain = sessions(1).cookie(KEY, &headers).expect("a cookie");
        assert!(plain.to_str().expect("text").starts_with("passerelle-console="));
        headers.insert("x-forwarded-proto", HeaderValue::from_static("https"));
        let secure = sessions(1).cookie(KEY, &headers).expect("a cookie");
        let text = secure.to_str().expect("text");
        assert!(text.starts_with("__Host-") && text.ends_with("; HttpOnly; SameSite=Strict; Secure"), "{text}");
    }
}
