//! The signature of generation v2 (cli). The README says what it covers and what it does not.

use data_encoding::HEXLOWER;

use crate::{
    kit::sign::{add_headers, hmac_sha256, recent},
    model::{
        Error, Request,
        auth::{AuthScheme, Credentials, Ingress, Stamp, header, refused, required, same_secret},
    },
};

/// The headers that a signature adds: the client's id, the time, a nonce, the signature.
const HEADERS: [&str; 4] = ["x-auth-client", "x-auth-timestamp", "x-auth-nonce", "x-auth-signature"];

/// The scheme, for the manifest.
pub(super) const HMAC: AuthScheme = AuthScheme::Signed {
    credentials: &["client_id", "client_secret"],
    headers: &HEADERS,
    sign,
    verify,
    ingress: Ingress {
        signer: "client_id",
        signer_header: HEADERS[0],
        signer_is_optional: false,
        key: "client_secret",
        key_is_secret: true,
        key_error: |_| None,
        replay_header: HEADERS[2],
        has_nonce: true,
    },
};

fn sign(request: &mut Request, credentials: &Credentials, stamp: &Stamp) -> Result<(), Error> {
    let client = required(credentials, "client_id")?;
    let (timestamp, nonce) = (stamp.now.to_string(), HEXLOWER.encode(&stamp.nonce));
    let signature = signature(credentials, [client, &timestamp, &nonce], request.body())?;
    add_headers(request, HEADERS, [client, &timestamp, &nonce, &signature])
}

fn verify(request: &Request, credentials: &Credentials, now: i64) -> Result<(), Error> {
    let [client, timestamp, nonce, presented] = HEADERS.map(|name| header(request, name));
    if !same_secret(client, required(credentials, "client_id")?) {
        return Err(refused("the client is not known"));
    }
    recent(timestamp, now)?;
    let expected = signature(credentials, [client, timestamp, nonce], request.body())?;
    if nonce.is_empty() || !same_secret(presented, &expected) {
        return Err(refused("the signature does not match the body, the time and the nonce"));
    }
    Ok(())
}

fn signature(credentials: &Credentials, parts: [&str; 3], body: &[u8]) -> Result<String, Error> {
    let signed = [parts.join(":").as_bytes(), b":", body].concat();
    Ok(hmac_sha256(required(credentials, "client_secret")?, &signed))
}
