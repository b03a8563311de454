//! Authenticates the client of an imitated provider. It sends a key of the gateway where it would send the provider's
//! key, or it signs its requests, which the merchant's `ingress` configuration verifies.

use std::sync::Arc;

use jiff::Timestamp;
use passerelle_providers::model::{
    Error, Request,
    auth::{AuthScheme, header, refused},
    manifest::Manifest,
};

use super::answer::Refusal;
use crate::{
    merchant::{Client, Gateway, Merchant, SignerId, digest_of},
    state::Once,
};

/// How a client authenticates, as far as the head of its request shows it.
pub(super) enum Authentication {
    /// A valid key of a merchant's client.
    Key(Client),
    /// A signature. It can only be verified with the whole request. It names this signer, or several, of which this is the
    /// first.
    Signature(&'static AuthScheme, SignerId),
}

/// Reads the authentication of a request. An unknown key, and a signature of a client that is not configured, are
/// refused before the body is read.
pub(super) fn authentication(
    gateway: &Gateway,
    manifest: &'static Manifest,
    vendor_request: &Request,
) -> Result<Authentication, Refusal> {
    let used = manifest.auth.iter().find(|scheme| scheme.is_used(vendor_request));
    let scheme = used.ok_or_else(|| refused("the request has no key"))?;
    let Some(key) = scheme.presented(vendor_request) else {
        let AuthScheme::Signed { ingress, .. } = scheme else { return Err(unknown_client().into()) };
        let name = header(vendor_request, ingress.signer_header);
        let signer = gateway.signers(manifest.name, name).next();
        let signer = signer.ok_or_else(|| wrong_key(gateway, vendor_request, unknown_client()))?;
        return Ok(Authentication::Signature(scheme, signer.id));
    };
    let client = gateway.authenticate(key);
    let client = client.ok_or_else(|| wrong_key(gateway, vendor_request, refused("the key is not known")))?;
    Ok(Authentication::Key(client.clone()))
}

/// Counts a wrong key or signature, which is answered with `error` unless its address has sent too many.
fn wrong_key(gateway: &Gateway, vendor_request: &Request, error: Error) -> Refusal {
    gateway.wrong_keys.count(vendor_request.headers()).map_or_else(Refusal::from, |()| error.into())
}

fn unknown_client() -> Error {
    refused("the client is not known")
}

/// Verifies a signature. Returns the merchant whose `ingress` key verifies it, and what identifies the request if it is
/// sent again.
pub(super) fn signed(
    gateway: &Gateway,
    manifest: &Manifest,
    scheme: &AuthScheme,
    vendor_request: &Request,
    now: Timestamp,
) -> Result<(Arc<Merchant>, Once), Refusal> {
    let AuthScheme::Signed { verify, ingress, .. } = scheme else {
        return Err(refused("the request is not signed").into());
    };
    let signer = header(vendor_request, ingress.signer_header);
    let mut refusal = unknown_client();
    for candidate in gateway.signers(manifest.name, signer) {
        match verify(vendor_request, &candidate.credentials, now.as_second()) {
            Ok(()) => {
                let once = format!("{}\n{signer}\n{}", manifest.name, header(vendor_request, ingress.replay_header));
                // A repeated read is harmless, even one that creates the customer it asks for.
                let is_read = vendor_request.method().is_safe();
                let signer = candidate.id;
                let once = Once { signer, digest: digest_of(&once), has_nonce: ingress.has_nonce, is_read };
                return Ok((Arc::clone(&candidate.merchant), once));
            }
            Err(error) => refusal = error,
        }
    }
    Err(wrong_key(gateway, vendor_request, refusal))
}
