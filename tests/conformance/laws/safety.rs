//! Laws about ids and secrets.

use libtest_mimic::Failed;
use passerelle_providers::{
    kit::render,
    model::{
        CustomerId,
        auth::{Credentials, Stamp},
    },
    text::Text,
};

use super::Subject;

/// An id becomes a path segment. So ids that could change a path must not parse.
pub(super) fn hostile_ids_are_refused(subject: Subject) -> Result<(), Failed> {
    let long = "a".repeat(10_240);
    let hostile = [
        "",
        ".",
        "..",
        "...",
        "../x",
        "a/b",
        "a\\b",
        "%2e%2e",
        "a%2fb",
        "%252e",
        "a b",
        "a?b=c",
        "a#b",
        "a\0b",
        "a\r\nb",
        "..;",
        "é",
        "\u{202e}abc",
        long.as_str(),
    ];
    for id in hostile {
        if CustomerId::parse(Text::from(id), &subject.manifest.id).is_ok() {
            return Err(format!("{:?} is accepted as an id", &id[..id.len().min(20)]).into());
        }
    }
    Ok(())
}

/// A secret that every scheme accepts: hexadecimal, and long enough for a signing key.
pub(crate) const SECRET: &str = "0x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

pub(super) fn secrets_are_never_shown(subject: Subject) -> Result<(), Failed> {
    let plan = subject.provider().plan_retrieve(&subject.id())?;
    for scheme in subject.manifest.auth {
        let named = scheme.credentials().iter().map(|name| ((*name).to_owned(), SECRET.to_owned()));
        let credentials = Credentials::new(named);
        if format!("{credentials:?}").contains(SECRET) {
            return Err("`Debug` of credentials shows a secret".into());
        }
        let mut request = subject.endpoint().finish(plan.request.clone())?;
        scheme.authorize(&mut request, &credentials, &Stamp { now: 1_700_000_000, nonce: [7; 16] })?;
        let added = scheme.masked();
        for (name, _) in &added {
            let value = request.headers().get(*name).ok_or_else(|| format!("{name} was not added"))?;
            if !value.is_sensitive() {
                return Err(format!("{name} is not marked as sensitive").into());
            }
        }
        if format!("{request:?}").contains(SECRET) {
            return Err("`Debug` of a request shows a secret".into());
        }
        let rendered = render::request(&plan.request, &subject.endpoint(), scheme)?.http_text();
        if rendered.contains(SECRET) || !added.iter().all(|(name, _)| rendered.contains(name)) {
            return Err("the rendered request shows a secret, or hides a header".into());
        }
    }
    Ok(())
}
