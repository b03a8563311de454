//! A provider's base URL, and the URLs below it. The URL that is sent must be the one that was planned and signed. The
//! client parses URLs and writes them again, so a URL whose spelling would change is refused here.

use http::Uri;
use passerelle_providers::model::{Error, Kind};
use url::{Host, Url};

/// A base URL, parsed once.
#[derive(Debug)]
pub struct Base {
    url: Url,
    /// The URL as text, without a slash at the end.
    text: String,
    /// Its path without a slash at the end.
    path: String,
}

impl Base {
    /// Parses a base URL into one normal form. The error says what is wrong with it.
    pub fn new(base_url: &str) -> Result<Self, String> {
        let mut url = Url::parse(base_url).map_err(|error| format!("is not a URL: {error}"))?;
        if !url.has_host() || !matches!(url.scheme(), "http" | "https") {
            return Err("must begin with https:// and a host".to_owned());
        }
        let path = url.path().trim_end_matches('/').to_owned();
        url.set_path(&path);
        let text = url.as_str().trim_end_matches('/').to_owned();
        Ok(Self { url, text, path })
    }

    /// The URL, without a slash at the end.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub(super) fn host(&self) -> Option<Host<&str>> {
        self.url.host()
    }

    pub(super) fn is_encrypted(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// The full URL for the path and query of a planned request.
    pub fn below(&self, planned: &Uri) -> Result<Url, Error> {
        let refused =
            || Error::new(Kind::Invalid, "the HTTP client would change the spelling of the URL; nothing was sent");
        // The path `*` would become a part of the last segment of the base.
        let planned =
            planned.path_and_query().filter(|planned| planned.as_str().starts_with('/')).ok_or_else(refused)?;
        // A copy saves parsing scheme and host again, which is most of the work.
        let mut url = self.url.clone();
        match self.path.as_str() {
            "" => url.set_path(planned.path()),
            path => {
                let mut whole = String::with_capacity(path.len() + planned.path().len());
                whole.push_str(path);
                whole.push_str(planned.path());
                url.set_path(&whole);
            }
        }
        if planned.query().is_some() {
            url.set_query(planned.query());
        }
        let is_same = url.as_str().strip_prefix(self.text.as_str()) == Some(planned.as_str());
        is_same.then_some(url).ok_or_else(refused)
    }
}

#[cfg(test)]
mod tests {
    use passerelle_providers::kit::Draft;
    use proptest::prelude::*;

    use super::*;

    const BASES: [(&str, &str); 6] = [
        ("https://api.lomi.africa/v1", "https://api.lomi.africa/v1"),
        ("HTTPS://API.Lomi.Africa:443/v1//", "https://api.lomi.africa/v1"),
        ("https://api.lomi.africa", "https://api.lomi.africa"),
        ("https://api.lomi.africa:8443/", "https://api.lomi.africa:8443"),
        ("http://[::1]:80/x", "http://[::1]/x"),
        ("https://bücher.example/é", "https://xn--bcher-kva.example/%C3%A9"),
    ];

    #[test]
    fn a_base_url_is_normalized_and_the_planned_path_is_not() {
        for planned in ["/", "/customers", "/customers/a%2fb/%7E?q=%C3%A9+a&q=", "/a//b/?", "/a@b.c:d;e,f?g=/h?i"] {
            for (base, url) in BASES {
                let sent = Base::new(base).expect("a base").below(&Uri::from_static(planned)).expect("a URL");
                assert_eq!(sent.as_str(), format!("{url}{planned}"), "{base}");
            }
        }
        assert!(Base::new("/v1").is_err() && Base::new("data:text").is_err() && Base::new("ftp://a.b").is_err());
    }

    /// Each of these would reach another resource after the rewriting, or break a signature.
    #[test]
    fn a_url_that_the_client_would_rewrite_is_refused() {
        for planned in [
            "/customers/..",
            "/customers/../admin",
            "/customers/./x",
            "/customers/%2e%2e/admin",
            "/customers/.%2E/admin",
            "/customers/{x}",
            "/customers?name=O'Brien",
            "/customers/\"x\"",
            "/é",
            "*",
        ] {
            for (base, _) in BASES {
                let planned: Uri = planned.parse().expect("a URI");
                let refused = Base::new(base).expect("a base").below(&planned).expect_err("a refusal");
                assert_eq!(refused.kind, Kind::Invalid, "{base}{planned}");
            }
        }
    }

    proptest! {
        /// Merchants choose the ids and the values in queries.
        #[test]
        fn what_plans_write_is_not_rewritten(id in "[^\\p{Cc}]{1,20}", value in any::<String>(), base in 0..BASES.len()) {
            let drafted = Draft::get("/customers").segment(&id);
            prop_assume!(drafted.is_ok());
            let drafted = drafted.expect("assumed").then("/block").query("name", &value);
            let plan = drafted.plan(|_| Error::bad_response("unread"), |_| Ok(())).expect("a plan");
            let planned = plan.request.uri();
            let sent = Base::new(BASES[base].0).expect("a base").below(planned).expect("a URL");
            prop_assert_eq!(sent.as_str(), format!("{}{planned}", BASES[base].1));
        }
    }
}
