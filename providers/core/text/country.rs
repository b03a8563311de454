//! Converts countries to ISO 3166-1 alpha-2 codes, from names in English and French and from alpha-2 and alpha-3 codes.
//! A text that does not name a country stays as it is.

use std::{cell::RefCell, fmt};

use celes::Country;
use smallvec::SmallVec;
use unicode_normalization::UnicodeNormalization;

use super::Text;

/// The rule for a country that was converted.
pub const TO_ALPHA2: &str = "country name to ISO 3166-1 alpha-2";

/// Names that the library does not have in this form: French names of the countries in which merchants sell, and common
/// English names. They are written as [`fold`] returns them.
const ALIASES: &[(&str, &str)] = &[
    ("afriquedusud", "ZA"),
    ("algerie", "DZ"),
    ("allemagne", "DE"),
    ("angleterre", "GB"),
    ("arabiesaoudite", "SA"),
    ("belgique", "BE"),
    ("benin", "BJ"),
    ("burkina", "BF"),
    ("cameroun", "CM"),
    ("capvert", "CV"),
    ("centrafrique", "CF"),
    ("chine", "CN"),
    ("comores", "KM"),
    ("coree", "KR"),
    ("coreedusud", "KR"),
    ("cotedivoire", "CI"),
    ("drc", "CD"),
    ("drcongo", "CD"),
    ("democraticrepublicofcongo", "CD"),
    ("egypte", "EG"),
    ("emiratsarabesunis", "AE"),
    ("espagne", "ES"),
    ("etatsunis", "US"),
    ("ethiopie", "ET"),
    ("gambia", "GM"),
    ("gambiathe", "GM"),
    ("gambie", "GM"),
    ("greatbritain", "GB"),
    ("guinee", "GN"),
    ("guineebissau", "GW"),
    ("guineeequatoriale", "GQ"),
    ("inde", "IN"),
    ("italie", "IT"),
    ("ivorycoast", "CI"),
    ("japon", "JP"),
    ("liban", "LB"),
    ("libye", "LY"),
    ("maroc", "MA"),
    ("maurice", "MU"),
    ("mauritanie", "MR"),
    ("paysbas", "NL"),
    ("rdc", "CD"),
    ("republicofthecongo", "CG"),
    ("republiquecentrafricaine", "CF"),
    ("republiquedemocratiqueducongo", "CD"),
    ("republiqueducongo", "CG"),
    ("royaumeuni", "GB"),
    ("russie", "RU"),
    ("saotomeetprincipe", "ST"),
    ("southkorea", "KR"),
    ("soudan", "SD"),
    ("soudandusud", "SS"),
    ("suisse", "CH"),
    ("tanzanie", "TZ"),
    ("tchad", "TD"),
    ("tunisie", "TN"),
    ("turquie", "TR"),
    ("uk", "GB"),
    ("usa", "US"),
    ("zambie", "ZM"),
];

/// A country by its ISO 3166-1 alpha-2 code, as a merchant's home region or a customer's address.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Region(&'static str);

impl Region {
    /// Reads an alpha-2 code in either case. `UK` is GB.
    pub fn parse(code: &str) -> Option<Self> {
        if code.len() != 2 {
            return None;
        }
        let code = code.to_ascii_uppercase();
        let code = if code == "UK" { "GB" } else { &code };
        Country::from_alpha2(code).ok().map(|country| Self(country.alpha2))
    }

    /// The code in capitals.
    pub fn alpha2(self) -> &'static str {
        self.0
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0)
    }
}

/// The canonical form of a country: its code, or the text itself if it does not name a country.
pub(crate) fn canonical(text: &Text) -> Text {
    if is_alpha2(text) {
        return text.clone();
    }
    to_alpha2(text).map_or_else(|| text.clone(), Text::from_static)
}

/// Whether two texts name the same country.
pub(crate) fn same(one: &str, other: &str) -> bool {
    one.trim().eq_ignore_ascii_case(other.trim())
        || to_alpha2(one).is_some_and(|code| to_alpha2(other).is_some_and(|other| code == other))
}

/// Whether a text has the canonical form: an alpha-2 code in capitals. `UK` is a name of GB, not a code of its own.
pub fn is_alpha2(text: &str) -> bool {
    text.len() == 2 && text != "UK" && text.bytes().all(|byte| byte.is_ascii_uppercase())
}

/// The text of a short look-up, and its result.
type LookedUp = (SmallVec<[u8; MAX_CACHED_BYTES]>, Option<&'static str>);

/// The longest text that is cached, in bytes.
const MAX_CACHED_BYTES: usize = 48;

thread_local! {
    /// A cache of the last look-up: most customers of a page have the same country.
    static LAST: RefCell<LookedUp> = const { RefCell::new((SmallVec::new_const(), None)) };
}

/// The alpha-2 code of the country that a text names; `None` if it does not name one.
pub fn to_alpha2(text: &str) -> Option<&'static str> {
    if text.len() > MAX_CACHED_BYTES {
        return look_up(text);
    }
    LAST.with_borrow_mut(|(last, code)| {
        if **last != *text.as_bytes() {
            *code = look_up(text);
            last.clear();
            last.extend_from_slice(text.as_bytes());
        }
        *code
    })
}

fn look_up(text: &str) -> Option<&'static str> {
    match text.len() {
        2 => Region::parse(text).map(Region::alpha2).or_else(|| alias(&fold(text))),
        3 => Country::from_alpha3(text.to_ascii_uppercase())
            .ok()
            .map(|country| country.alpha2)
            .or_else(|| alias(&fold(text))),
        // Most names are in the library in the same form, and need no folding.
        _ => Country::from_name(text).ok().map(|country| country.alpha2).or_else(|| by_name(text)),
    }
}

fn by_name(text: &str) -> Option<&'static str> {
    let known =
        |name: &str| Country::from_name(name).or_else(|_| Country::from_alias(name)).ok().map(|country| country.alpha2);
    let found = |name: &str| alias(name).or_else(|| known(name));
    // The usual name is one word and is found without folding, because both lists ignore case.
    found(text).or_else(|| {
        let folded = fold(text);
        found(&folded).or_else(|| known(&format!("the{folded}"))).or_else(|| folded.strip_prefix("the").and_then(found))
    })
}

fn alias(folded: &str) -> Option<&'static str> {
    ALIASES.iter().find(|(name, _)| name.eq_ignore_ascii_case(folded)).map(|(_, code)| *code)
}

/// Folds a name to lower case without accents, spaces and punctuation: `Côte d'Ivoire` becomes `cotedivoire`.
fn fold(text: &str) -> String {
    text.nfd().filter(|letter| letter.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_codes_become_alpha2() {
        for (text, code) in [
            ("Senegal", "SN"),
            ("Sénégal", "SN"),
            ("SN", "SN"),
            ("sn", "SN"),
            ("SEN", "SN"),
            ("The Gambia", "GM"),
            ("Gambia, The", "GM"),
            ("Cameroun", "CM"),
            ("Cameroon", "CM"),
            ("Côte d'Ivoire", "CI"),
            ("Ivory Coast", "CI"),
            ("Nigeria", "NG"),
            ("NGA", "NG"),
            ("Bénin", "BJ"),
            ("DR Congo", "CD"),
            ("UK", "GB"),
            ("United States", "US"),
            ("South Korea", "KR"),
            ("Mali", "ML"),
            ("Togo", "TG"),
            ("Ghana", "GH"),
        ] {
            assert_eq!(to_alpha2(text), Some(code), "{text}");
        }
    }

    #[test]
    fn uk_is_gb_and_other_codes_stay() {
        assert_eq!(canonical(&Text::from_static("UK")), "GB");
        assert_eq!(Region::parse("UK").map(Region::alpha2), Some("GB"));
        assert_eq!(canonical(&Text::from_static("XK")), "XK");
    }

    #[test]
    fn text_that_does_not_name_a_country_is_not_converted() {
        for text in ["", "X", "Zz", "Atlantis", "somewhere in Dakar", "***"] {
            assert_eq!(to_alpha2(text), None, "{text}");
        }
    }
}
