//! Bitnob's signature: the hexadecimal HMAC-SHA256 of `client:timestamp:nonce:body` (cli). It covers neither
//! the method nor the path, so a bodiless request proves only who sends it, and when.

use aws_lc_rs::hmac;

use crate::{
    error::Error,
    plan::Request,
    sign::{AuthScheme, Credentials, Ingress, Stamp, WINDOW, add_header, header, hex, refused, required, same_secret},
};

const CLIENT: &str = "x-auth-client";
const TIMESTAMP: &str = "x-auth-timestamp";
const NONCE: &str = "x-auth-nonce";
const SIGNATURE: &str = "x-auth-signature";

/// The scheme.
pub(super) const HMAC: AuthScheme = AuthScheme::Signed {
    credentials: &["client_id", "client_secret"],
    headers: &[CLIENT, TIMESTAMP, NONCE, SIGNATURE],
    sign,
    verify,
    ingress: Ingress {
        signer: "client_id",
        signer_header: CLIENT,
        signer_is_optional: false,
        key: "client_secret",
        key_is_secret: true,
        key_mistake: |_| None,
        once_header: NONCE,
        has_nonce: true,
    },
};

fn sign(request: &mut Request, credentials: &Credentials, stamp: &Stamp) -> Result<(), Error> {
    let client = required(credentials, "client_id")?;
    let (timestamp, nonce) = (stamp.now.to_string(), hex(&stamp.nonce));
    let secret = required(credentials, "client_secret")?;
    let signature = signature(secret, [client, &timestamp, &nonce], request.body());
    for (name, value) in [(CLIENT, client), (TIMESTAMP, &timestamp), (NONCE, &nonce), (SIGNATURE, &signature)] {
        add_header(request, name, value)?;
    }
    Ok(())
}

fn verify(request: &Request, credentials: &Credentials, now: i64) -> Result<(), Error> {
    let [client, timestamp, nonce, presented] = [CLIENT, TIMESTAMP, NONCE, SIGNATURE].map(|name| header(request, name));
    if !same_secret(client, required(credentials, "client_id")?) {
        return Err(refused("the client is not known"));
    }
    if !timestamp.parse().is_ok_and(|told: i64| now.abs_diff(told) <= WINDOW.unsigned_abs()) {
        return Err(refused("the timestamp is not of this time"));
    }
    let secret = required(credentials, "client_secret")?;
    if nonce.is_empty() || !same_secret(presented, &signature(secret, [client, timestamp, nonce], request.body())) {
        return Err(refused("the signature is wrong"));
    }
    Ok(())
}

fn signature(secret: &str, parts: [&str; 3], body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let mut context = hmac::Context::with_key(&key);
    for part in parts {
        context.update(part.as_bytes());
        context.update(b":");
    }
    context.update(body);
    hex(context.sign().as_ref())
}
