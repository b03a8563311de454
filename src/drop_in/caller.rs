//! Who calls: the gateway's key, presented the imitated provider's way, or a signature that a merchant's
//! `ingress` configuration verifies.

use std::sync::Arc;

use jiff::Timestamp;
use passerelle_providers::model::{
    Error, Request,
    auth::{AuthScheme, header, refused},
    manifest::Manifest,
};

use crate::{
    merchant::{Gateway, Merchant, digest_of},
    state::Once,
};

/// What the head of a request tells of its sender.
pub(super) enum Presented {
    /// A key that this merchant has.
    Key(Arc<Merchant>),
    /// A signature, which only the whole request can verify.
    Signature(&'static AuthScheme),
}

/// What was presented. A key that nobody has is refused before the body is read.
pub(super) fn presented(gateway: &Gateway, manifest: &'static Manifest, asked: &Request) -> Result<Presented, Error> {
    let used = manifest.auth.iter().find(|scheme| scheme.is_used(asked));
    let scheme = used.ok_or_else(|| refused("no key was presented"))?;
    let Some(key) = scheme.presented(asked) else { return Ok(Presented::Signature(scheme)) };
    let merchant = gateway.merchant(key).ok_or_else(|| refused("the key is not known"))?;
    Ok(Presented::Key(Arc::clone(merchant)))
}

/// The merchant whose key verifies a signature, and what must not be seen again.
pub(super) fn signed(
    gateway: &Gateway,
    manifest: &Manifest,
    scheme: &AuthScheme,
    asked: &Request,
    now: Timestamp,
) -> Result<(Arc<Merchant>, Once), Error> {
    let AuthScheme::Signed { verify, ingress, .. } = scheme else { return Err(refused("the request is not signed")) };
    let signer = header(asked, ingress.signer_header);
    let mut refusal = refused("the client is not known");
    for known in gateway.signers(manifest.name, signer) {
        match verify(asked, &known.credentials, now.as_second()) {
            Ok(()) => {
                let once = format!("{}\n{signer}\n{}", manifest.name, header(asked, ingress.once_header));
                // A read, even one that creates whom it asks for, undoes nothing when it comes again.
                let is_read = asked.method().is_safe();
                let once = Once { digest: digest_of(&once), has_nonce: ingress.has_nonce, is_read };
                return Ok((Arc::clone(&known.merchant), once));
            }
            Err(error) => refusal = error,
        }
    }
    Err(refusal)
}
