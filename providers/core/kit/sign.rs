//! Parts of request signatures that several vendors share.

use aws_lc_rs::hmac;
use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use http::HeaderName;

use crate::model::{
    Error, Request,
    auth::{refused, sensitive},
};

/// The most seconds by which the time of a signature may differ from the gateway's clock.
pub const WINDOW: i64 = 300;

/// Adds the headers of a signature, with values that are flagged as sensitive.
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

/// Parses the time of a signature, in Unix seconds.
pub fn seconds(text: &str) -> Result<i64, Error> {
    text.parse().map_err(|_| refused("the time of the signature is not a number of Unix seconds"))
}

/// Parses the time of a signature, and refuses it if it differs from `now` by more than [`WINDOW`].
pub fn recent(text: &str, now: i64) -> Result<i64, Error> {
    let signed_at = seconds(text)?;
    match now.abs_diff(signed_at) <= WINDOW.unsigned_abs() {
        true => Ok(signed_at),
        false => Err(refused("the time of the signature differs too much from the current time")),
    }
}

/// The HMAC-SHA256 of a message, in lower-case hexadecimal.
pub fn hmac_sha256(secret: &str, message: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    HEXLOWER.encode(hmac::sign(&key, message).as_ref())
}

/// The bytes of hexadecimal text, with or without `0x`.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_is_read_in_any_case_and_with_its_prefix() {
        for text in ["00aBfF", "0x00abff", "0x00ABFF"] {
            assert_eq!(unhex(text).as_deref(), Some(&[0x00, 0xab, 0xff][..]), "{text}");
        }
        for text in ["0", "0x0", "0X00", "0x0x00", "+f", "0g", "00 ", "é"] {
            assert_eq!(unhex(text), None, "{text}");
        }
        assert_eq!(unhex("0x"), Some(Vec::new()));
    }
}
