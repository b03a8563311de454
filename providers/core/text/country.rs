//! Countries: ISO 3166-1 alpha-2 from names in English and French, alpha-2 and alpha-3 codes.
//! Text that names no country stays as it is.

use std::{cell::RefCell, fmt};

use celes::Country;
use smallvec::SmallVec;
use unicode_normalization::UnicodeNormalization;

use super::Text;

/// The rule named when a country was spelled otherwise.
pub const TO_ALPHA2: &str = "country name to ISO 3166-1 alpha-2";

/// Names that the library does not know in this spelling: French names of the countries our
/// merchants sell in, and everyday English ones. Folded as [`fold`] does.
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
    /// Reads an alpha-2 code in either case.
    pub fn parse(code: &str) -> Option<Self> {
        if code.len() != 2 {
            return None;
        }
        Country::from_alpha2(code.to_ascii_uppercase()).ok().map(|country| Self(country.alpha2))
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

/// A country as customers have it: its code where it has one.
pub(crate) fn canonical(text: &Text) -> Text {
    if is_alpha2(text) {
        return text.clone();
    }
    to_alpha2(text).map_or_else(|| text.clone(), Text::from_static)
}

/// Whether a text is an alpha-2 code in capitals, the canonical form.
pub fn is_alpha2(text: &str) -> bool {
    text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_uppercase())
}

/// A text that was looked up, if it is short, and its code.
type LookedUp = (SmallVec<[u8; LONGEST]>, Option<&'static str>);

/// The longest text that is remembered, in bytes.
const LONGEST: usize = 48;

thread_local! {
    /// What was looked up last: most customers of a page live in the same country.
    static LAST: RefCell<LookedUp> = const { RefCell::new((SmallVec::new_const(), None)) };
}

/// The alpha-2 code that a text means; `None` when it names no country.
pub fn to_alpha2(text: &str) -> Option<&'static str> {
    if text.len() > LONGEST {
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
        // Most names are written as the library has them, and need no folding.
        _ => Country::from_name(text).ok().map(|country| country.alpha2).or_else(|| by_name(text)),
    }
}

fn by_name(text: &str) -> Option<&'static str> {
    let known =
        |name: &str| Country::from_name(name).or_else(|_| Country::from_alias(name)).ok().map(|country| country.alpha2);
    let found = |name: &str| alias(name).or_else(|| known(name));
    // One word is usual, and found as it stands: neither list minds its case.
    found(text).or_else(|| {
        let folded = fold(text);
        found(&folded).or_else(|| known(&format!("the{folded}"))).or_else(|| folded.strip_prefix("the").and_then(found))
    })
}

fn alias(folded: &str) -> Option<&'static str> {
    ALIASES.iter().find(|(name, _)| name.eq_ignore_ascii_case(folded)).map(|(_, code)| *code)
}

/// Lower case, without accents, spaces and signs: `Côte d'Ivoire` becomes `cotedivoire`.
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
    fn text_that_names_no_country_is_not_forced_into_one() {
        for text in ["", "X", "Zz", "Atlantis", "somewhere in Dakar", "***"] {
            assert_eq!(to_alpha2(text), None, "{text}");
        }
    }
}
