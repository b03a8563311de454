//! The signature of a component of the app (sdk). The README says what it covers.

use std::collections::BTreeMap;

use aws_lc_rs::{
    digest::{Digest, SHA3_256, digest},
    signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey},
};
use data_encoding::HEXLOWER;
use serde_json::{Value, json};

use crate::{
    kit::sign::{add_headers, recent, seconds, unhex},
    model::{
        Error, Request,
        auth::{AuthScheme, Credentials, Ingress, Stamp, header, refused, required},
    },
};

/// The headers that a signature adds: the component's DID, the signature, its start and its end, its version.
pub(super) const HEADERS: [&str; 5] =
    ["x-component-did", "x-component-sig", "x-component-sig-iat", "x-component-sig-exp", "x-component-sig-version"];

/// How long a signature is valid, in seconds.
const LIFETIME: i64 = 300;

/// The scheme, for the manifest. Drop-in can identify a merchant by its public key alone; the component's DID is
/// optional and only distinguishes merchants further.
pub(super) const SIGNATURE: AuthScheme = AuthScheme::Signed {
    credentials: &["app_secret_key", "component_did"],
    headers: &HEADERS,
    sign,
    verify,
    ingress: Ingress {
        signer: "component_did",
        signer_header: HEADERS[0],
        signer_is_optional: true,
        key: "public_key",
        key_is_secret: false,
        key_error: |key| {
            let is_key = unhex(key).is_some_and(|bytes| bytes.len() == 32);
            (!is_key).then_some("is not an Ed25519 public key: 32 bytes in hexadecimal")
        },
        replay_header: HEADERS[1],
        has_nonce: false,
    },
};

/// Signs a finished request, with the app's secret key.
pub(super) fn sign(request: &mut Request, credentials: &Credentials, stamp: &Stamp) -> Result<(), Error> {
    let pair = key_pair(required(credentials, "app_secret_key")?)?;
    let component = required(credentials, "component_did")?;
    let (issued, expires) = (stamp.now, stamp.now.saturating_add(LIFETIME));
    let signature = pair.sign(digest_of(request, request.uri().path(), issued, expires)?.as_ref());
    let signature = format!("0x{}", HEXLOWER.encode(signature.as_ref()));
    add_headers(request, HEADERS, [component, &signature, &issued.to_string(), &expires.to_string(), "1"])
}

/// Verifies a received request, with the app's secret key or its public half.
pub(super) fn verify(request: &Request, expected: &Credentials, now: i64) -> Result<(), Error> {
    let public = match expected.get("public_key") {
        Some(public) => unhex(public).ok_or_else(|| refused("the public key is not hexadecimal"))?,
        None => key_pair(required(expected, "app_secret_key")?)?.public_key().as_ref().to_vec(),
    };
    let [_, signature, issued, expires, _] = HEADERS.map(|name| header(request, name));
    let signature = unhex(signature).ok_or_else(|| refused("the signature is not hexadecimal"))?;
    let expires = seconds(expires)?;
    if expires < now {
        return Err(refused("the signature has expired"));
    }
    // A client could set a late end. But the start must be recent, so drop-in has to remember a signature only briefly.
    let issued = recent(issued, now)?;
    let key = UnparsedPublicKey::new(&ED25519, &public);
    // A proxy that cut the mount point off the path puts it into a header (sdk).
    let mount_point = header(request, "x-path-prefix").trim_end_matches('/');
    for mount_point in ["", mount_point] {
        let path = format!("{mount_point}{}", request.uri().path());
        if key.verify(digest_of(request, &path, issued, expires)?.as_ref(), &signature).is_ok() {
            return Ok(());
        }
    }
    Err(refused("the signature does not match the request"))
}

/// The key pair of a secret key in hexadecimal: a seed of 32 bytes, or the seed and then its public key.
fn key_pair(secret: &str) -> Result<Ed25519KeyPair, Error> {
    let bytes = unhex(secret).unwrap_or_default();
    let pair = match bytes.split_at_checked(32) {
        Some((seed, [])) => Ed25519KeyPair::from_seed_unchecked(seed).ok(),
        Some((seed, public)) => Ed25519KeyPair::from_seed_and_public_key(seed, public).ok(),
        None => None,
    };
    pair.ok_or_else(|| {
        refused("the credential `app_secret_key` is not an Ed25519 key of 32 or 64 bytes in hexadecimal")
    })
}

/// The hash that is signed: it covers everything in the request that has an effect.
pub(super) fn digest_of(request: &Request, path: &str, issued: i64, expires: i64) -> Result<Digest, Error> {
    let not_json = |_| refused("a body that is not JSON cannot be signed");
    let body: Value = match request.body().as_ref() {
        b"" => json!({}),
        body => serde_json::from_slice(body).map_err(not_json)?,
    };
    let query = request.uri().query().unwrap_or_default();
    let signed = json!({
        "iat": issued,
        "exp": expires,
        "body": body,
        "query": form_urlencoded::parse(query.as_bytes()).collect::<BTreeMap<_, _>>(),
        "method": request.method().as_str().to_ascii_lowercase(),
        "url": path,
    });
    Ok(digest(&SHA3_256, &serde_json_canonicalizer::to_vec(&signed).map_err(not_json)?))
}
