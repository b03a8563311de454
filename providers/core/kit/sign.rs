//! What signatures of several vendors are made of.

use aws_lc_rs::hmac;
use http::HeaderName;

use crate::model::{
    Error, Request,
    auth::{refused, sensitive},
};

/// How far the time of a signature may be from now, in seconds.
pub const WINDOW: i64 = 300;

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

/// The HMAC-SHA256 of a message, in lower-case hexadecimal.
pub fn hmac_sha256(secret: &str, message: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    hex(hmac::sign(&key, message).as_ref())
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
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
