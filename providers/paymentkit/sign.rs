//! The signature of a component of the app [sdk]: Ed25519 over the SHA3-256 of a JSON text that holds the
//! method, the path, the query, the body and two times, its keys sorted at every level.

use aws_lc_rs::{
    digest,
    signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey},
};
use serde_json::{Map, Value, json};

use crate::{
    error::Error,
    plan::Request,
    sign::{Credentials, Stamp, add_header, header, hex, refused, required, unhex},
};

const DID: &str = "x-component-did";
const SIGNATURE: &str = "x-component-sig";
const ISSUED: &str = "x-component-sig-iat";
const EXPIRES: &str = "x-component-sig-exp";
const VERSION: &str = "x-component-sig-version";

/// The headers that a signature adds.
pub(super) const HEADERS: [&str; 5] = [DID, SIGNATURE, ISSUED, EXPIRES, VERSION];

/// How long a signature holds, in seconds.
const LIFETIME: i64 = 300;

/// Signs a finished request.
pub(super) fn sign(request: &mut Request, credentials: &Credentials, stamp: &Stamp) -> Result<(), Error> {
    let pair = key_pair(required(credentials, "app_secret_key")?)?;
    let component = required(credentials, "component_did")?;
    let (issued, expires) = (stamp.now, stamp.now.saturating_add(LIFETIME));
    let signature = pair.sign(&digest_of(request, request.uri().path(), issued, expires)?);
    add_header(request, DID, component)?;
    add_header(request, SIGNATURE, &format!("0x{}", hex(signature.as_ref())))?;
    add_header(request, ISSUED, &issued.to_string())?;
    add_header(request, EXPIRES, &expires.to_string())?;
    add_header(request, VERSION, "1")
}

/// Verifies a received request, with the app's secret key or its public half.
pub(super) fn verify(request: &Request, expected: &Credentials, now: i64) -> Result<(), Error> {
    let public = match expected.get("public_key") {
        Some(public) => unhex(public).ok_or_else(|| refused("the public key is not hexadecimal"))?,
        None => key_pair(required(expected, "app_secret_key")?)?.public_key().as_ref().to_vec(),
    };
    let seconds = |name| header(request, name).parse::<i64>().map_err(|_| refused("a time of the signature is none"));
    let (issued, expires) = (seconds(ISSUED)?, seconds(EXPIRES)?);
    if expires < now {
        return Err(refused("the signature has expired"));
    }
    let signature = unhex(header(request, SIGNATURE)).ok_or_else(|| refused("the signature is not hexadecimal"))?;
    let key = UnparsedPublicKey::new(&ED25519, &public);
    let holds = |path: &str| -> Result<bool, Error> {
        Ok(key.verify(&digest_of(request, path, issued, expires)?, &signature).is_ok())
    };
    let (path, prefix) = (request.uri().path(), header(request, "x-path-prefix").trim_end_matches('/'));
    // A proxy that cut the mount point off the path tells it [sdk].
    let holds = holds(path)? || (!prefix.is_empty() && !path.starts_with(prefix) && holds(&format!("{prefix}{path}"))?);
    if holds { Ok(()) } else { Err(refused("the signature does not match the request")) }
}

/// A key of 32 bytes of seed, or of the seed followed by its public half.
fn key_pair(secret: &str) -> Result<Ed25519KeyPair, Error> {
    let bytes = unhex(secret).unwrap_or_default();
    match bytes.split_at_checked(32) {
        Some((seed, [])) => Ed25519KeyPair::from_seed_unchecked(seed),
        Some((seed, public)) => Ed25519KeyPair::from_seed_and_public_key(seed, public),
        None => return Err(refused("the app's secret key is not 32 or 64 bytes in hexadecimal")),
    }
    .map_err(|_| refused("the app's secret key is not an Ed25519 key"))
}

/// What is signed: the hash of everything that the request asks.
pub(super) fn digest_of(request: &Request, path: &str, issued: i64, expires: i64) -> Result<[u8; 32], Error> {
    let body = match request.body().as_ref() {
        b"" => json!({}),
        body => serde_json::from_slice(body).map_err(|_| refused("a body that is not JSON cannot be signed"))?,
    };
    let signed = json!({
        "iat": issued,
        "exp": expires,
        "body": body,
        "query": query(request.uri().query().unwrap_or_default()),
        "method": request.method().as_str().to_ascii_lowercase(),
        "url": path,
    });
    let mut text = String::with_capacity(512);
    write_sorted(&mut text, &signed);
    let mut digest = [0; 32];
    digest.copy_from_slice(digest::digest(&digest::SHA3_256, text.as_bytes()).as_ref());
    Ok(digest)
}

/// The query as the SDK's parser reads it: strings, nested where the keys have brackets.
fn query(text: &str) -> Value {
    let mut read = Map::new();
    for (key, value) in form_urlencoded::parse(text.as_bytes()) {
        // Five levels, as in that parser.
        let path: Vec<&str> = key.splitn(6, '[').map(|part| part.trim_end_matches(']')).collect();
        place(&mut read, &path, &value);
    }
    Value::Object(read.into_iter().map(|(key, value)| (key, listed(value))).collect())
}

fn place(into: &mut Map<String, Value>, path: &[&str], value: &str) {
    match path {
        [] => {}
        [last] => drop(into.insert((*last).to_owned(), Value::from(value))),
        [first, rest @ ..] => {
            let inner = into.entry(*first).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(inner) = inner {
                place(inner, rest, value);
            }
        }
    }
}

/// Members that are numbered from zero are a list.
fn listed(value: Value) -> Value {
    let Value::Object(members) = value else { return value };
    let mut entries: Vec<_> = members.into_iter().map(|(key, value)| (key, listed(value))).collect();
    entries.sort_by_key(|(key, _)| key.parse::<usize>().unwrap_or(usize::MAX));
    match entries.iter().enumerate().all(|(place, (key, _))| *key == place.to_string()) {
        true => entries.into_iter().map(|(_, value)| value).collect(),
        false => Value::Object(entries.into_iter().collect()),
    }
}

/// Writes JSON as JavaScript does, the keys sorted at every level.
fn write_sorted(text: &mut String, value: &Value) {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by(|(one, _), (other, _)| one.encode_utf16().cmp(other.encode_utf16()));
            text.push('{');
            for (place, (key, value)) in members.into_iter().enumerate() {
                text.push_str(if place == 0 { "" } else { "," });
                text.push_str(&Value::from(key.as_str()).to_string());
                text.push(':');
                write_sorted(text, value);
            }
            text.push('}');
        }
        Value::Array(entries) => {
            text.push('[');
            for (place, value) in entries.iter().enumerate() {
                text.push_str(if place == 0 { "" } else { "," });
                write_sorted(text, value);
            }
            text.push(']');
        }
        Value::Number(number) => text.push_str(&number_text(number.as_f64().unwrap_or_default())),
        Value::Null | Value::Bool(_) | Value::String(_) => text.push_str(&value.to_string()),
    }
}

/// A number as JavaScript writes it: every number is a double there, and only very long ones have exponents.
fn number_text(number: f64) -> String {
    let size = number.abs();
    if size == 0.0 {
        return "0".to_owned();
    }
    if (1e-6..1e21).contains(&size) {
        return number.to_string();
    }
    let text = format!("{number:e}");
    if text.contains("e-") { text } else { text.replace('e', "e+") }
}
