//! More customers for twins: those of the sandbox merchant who switches providers, whose records are irregular as real
//! ones are, and as many as a rehearsal asks for.

use passerelle_providers::{
    json::JsonObject,
    model::{CustomerFields, Patch},
    text::Text,
};

/// A customer that a twin starts with.
#[derive(Debug)]
pub struct Person {
    /// What the provider's id is made of.
    pub(super) random: [u8; 16],
    pub(super) fields: CustomerFields,
    pub(super) is_blocked: bool,
}

fn set(text: &str) -> Patch<Text> {
    if text.is_empty() { Patch::Absent } else { Patch::Set(Text::from(text.to_owned())) }
}

fn person(random: [u8; 16], name: &str, email: &str, phone: &str) -> Person {
    let fields = CustomerFields { name: set(name), email: set(email), phone: set(phone), ..CustomerFields::default() };
    Person { random, fields, is_blocked: false }
}

impl Person {
    /// A customer. The provider's id is made of the number.
    pub fn new(number: u64, name: &str, email: &str, phone: &str) -> Self {
        person(distinct(number, 2), name, email, phone)
    }

    pub(crate) fn email(&self) -> Option<&str> {
        match &self.fields.email {
            Patch::Set(email) => Some(email),
            _ => None,
        }
    }
}

/// Bytes of which every provider makes another id for another number. Some make one hexadecimal digit or letter of each byte, so
/// each byte is such a digit of the number. Numbers of two kinds have nothing in common.
fn distinct(number: u64, kind: u8) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[15] = kind;
    let mut rest = number;
    for byte in bytes[..8].iter_mut().rev() {
        *byte = u8::try_from(rest % 16).unwrap_or_default();
        rest /= 16;
    }
    bytes
}

/// This many regular customers.
pub fn many(count: u32) -> impl Iterator<Item = Person> {
    (1..=count).map(|number| {
        let random = distinct(u64::from(number), 1);
        let (name, email) = (format!("Awa Ndiaye {number}"), format!("customer{number}@example.com"));
        let mut person = person(random, &name, &email, &format!("+22177{number:07}"));
        if number % 3 == 0 {
            person.fields.address.city = set("Dakar");
        }
        person
    })
}

/// The customers of the sandbox merchant `shop` at a connection, besides the samples of every twin.
pub(crate) fn of_sandbox(connection: &str) -> Vec<Person> {
    match connection {
        "main" => AT_SOURCE.iter().zip(1..).map(|(row, number)| row.person(number)).collect(),
        "new" => at_target(),
        _ => Vec::new(),
    }
}

/// A name, an e-mail address, a phone number, a city, and a value of the metadata. An empty text is an absent field.
struct Row(&'static str, &'static str, &'static str, &'static str, &'static str);

impl Row {
    fn person(&self, number: u8) -> Person {
        let Self(name, email, phone, city, plan) = self;
        let mut person = person(random(number), name, email, phone);
        person.fields.address.city = set(city);
        if !plan.is_empty() {
            let metadata = JsonObject::in_string(&format!("{{\"plan\":\"{plan}\"}}"));
            person.fields.metadata = metadata.map_or(Patch::Absent, Patch::Set);
        }
        person
    }
}

const fn random(number: u8) -> [u8; 16] {
    let mut random = [0x5a; 16];
    random[15] = number;
    random
}

/// With the three samples, 40 customers.
const AT_SOURCE: [Row; 37] = [
    Row("Fatou", "fatou@example.com", "+221770000101", "Dakar", ""),
    Row("Ousmane", "ousmane@example.com", "+221770000102", "", ""),
    Row("Awa Ndiaye Fall", "awa.fall@example.com", "+221770000103", "Thiès", ""),
    Row("Mame Diarra Bousso Mbacké", "mame.diarra@example.com", "+221770000104", "Touba", ""),
    Row("Jean-Baptiste N'Guessan Kouadio", "jb.kouadio@example.com", "+2250700000105", "Abidjan", ""),
    Row("Maria da Graça Lopes Tavares", "graca@example.com", "+2389900106", "Praia", ""),
    Row("Moussa Sarr", "moussa.sarr@example.com", "77 000 01 07", "Dakar", ""),
    Row("Khady Diagne", "khady.diagne@example.com", "770000108", "Rufisque", ""),
    Row("Ibrahima Sy", "ibrahima.sy@example.com", "77-000-01-09", "", ""),
    Row("Aminata Touré", "toure@example.com", "+221770000110", "Dakar", ""),
    Row("Alioune Touré", "toure@example.com", "+221770000111", "Dakar", ""),
    Row("Pape Gueye", "pape.gueye@example.com", "+221770000112", "Saint-Louis", ""),
    Row("Ndeye Gueye", "ndeye.gueye@example.com", "+221770000112", "Saint-Louis", ""),
    Row("Cheikh Gueye", "cheikh.gueye@example.com", "+221770000112", "Saint-Louis", ""),
    Row("Astou Kane", "astou.kane@example.com", "+221770000115", "", ""),
    Row("Modou Lo", "modou.lo@example.com", "+221770000116", "Mbour", "gold"),
    Row("Seynabou Cissé", "seynabou@example.com", "+221770000117", "Kaolack", "silver"),
    Row("Lamine Badji", "lamine.badji@example.com", "+221770000118", "Ziguinchor", ""),
    Row("Rokhaya Mbaye", "rokhaya@example.com", "+221770000119", "", ""),
    Row("Babacar Seck", "babacar.seck@example.com", "+221770000120", "Dakar", ""),
    Row("Coumba Gawlo", "coumba@example.com", "", "Tambacounda", ""),
    Row("Serigne Dieng", "serigne@example.com", "", "", ""),
    Row("Sokhna Niang", "sokhna.niang@example.com", "+221770000123", "Louga", ""),
    Row("Assane Camara", "assane@example.com", "+221770000124", "", ""),
    Row("Bineta Thiam", "bineta@example.com", "+221770000125", "Dakar", ""),
    Row("El Hadji Malick Diop", "elhadji@example.com", "+221770000126", "Fatick", ""),
    Row("Penda Ba", "penda.ba@example.com", "+221770000127", "Matam", ""),
    Row("Samba Laobé", "samba@example.com", "+221770000128", "Podor", ""),
    Row("Yacine Wade", "yacine@example.com", "+221770000129", "", ""),
    Row("Daouda Faye", "daouda@example.com", "+221770000130", "Joal", ""),
    Row("Marème Dia", "mareme@example.com", "+221770000131", "Dakar", ""),
    Row("Gora Sene", "gora@example.com", "+221770000132", "", ""),
    Row("Adja Ndoye", "adja@example.com", "+221770000133", "Pikine", ""),
    Row("Tidiane Kébé", "tidiane@example.com", "+221770000134", "", ""),
    Row("Oumou Sall", "oumou@example.com", "+221770000135", "Kolda", ""),
    Row("Birame Ndao", "birame@example.com", "+221770000136", "", ""),
    Row("Dieynaba Barry", "dieynaba@example.com", "+221770000137", "Vélingara", ""),
];

/// What stands at the target before the switch: a customer of the source, one with another name, a blocked one, one with
/// another e-mail address, one whose e-mail address two customers of the source have, and two whose ids are those of other
/// people at the source.
fn at_target() -> Vec<Person> {
    let blocked =
        Person { is_blocked: true, ..person(random(203), "Lamine Badji", "lamine.badji@example.com", "+221770000118") };
    vec![
        person(random(201), "Babacar Seck", "babacar.seck@example.com", "+221770000120"),
        person(random(202), "Rokhaya Diouf", "rokhaya@example.com", "+221770000119"),
        blocked,
        person(random(204), "Sokhna Niang", "sokhna@example.com", "+221770000123"),
        person(random(205), "Aminata Touré", "toure@example.com", "+221770000110"),
        person(random(1), "Kofi Mensah", "kofi@example.com", "+233240000301"),
        person(random(2), "Ama Owusu", "ama@example.com", "+233240000302"),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_customer_has_another_id_at_a_provider_that_makes_a_character_of_each_byte() {
        let ids: HashSet<[u8; 16]> = many(100_000).map(|person| person.random.map(|byte| byte % 16)).collect();
        assert_eq!(ids.len(), 100_000);
    }
}
