//! URLs: whatever ids and values a command has, the URL that is sent is below the base, has the segments of its route, and
//! is spelled as it was planned.
//!
//! The parts of an input are a base URL, an id, and a value.

use std::sync::LazyLock;

use passerelle::upstream::{Base, check_base_url};
use passerelle_providers::{
    engine::{self, Conditions},
    model::{
        Command, CustomerFields, CustomerFilter, CustomerId, ListCustomers, ListOfCustomer, Lookup, LossPolicy, Patch,
        Position, UpdateCustomer,
    },
    text::Text,
};

use crate::{
    bound::assert_in_proportion,
    parts,
    subject::{self, Subject, check_error},
};

static SUBJECTS: LazyLock<Vec<Subject>> = LazyLock::new(subject::all);

/// Runs one input.
pub(crate) fn run(input: &[u8]) {
    let mut texts = parts(input).map(|part| std::str::from_utf8(part).unwrap_or_default());
    let (base, id, value) =
        (texts.next().unwrap_or_default(), texts.next().unwrap_or_default(), texts.next().unwrap_or_default());
    if check_base_url(base, true).is_ok() {
        let base = Base::new(base).expect("a base URL that the configuration accepts");
        check_sent(&base, &format!("/customers/{id}"));
    }
    for subject in &*SUBJECTS {
        let base = Base::new(subject.endpoint().base_url()).expect("a documented base URL");
        check_sent(&base, id);
        let value = Text::from(value);
        let usual = CustomerId::parse(Text::from_static(USUAL), &subject.manifest.id)
            .or_else(|_| CustomerId::parse(Text::from_static(USUAL_UUID), &subject.manifest.id));
        let Ok(usual) = usual else { panic!("{} has ids of another form", subject.name) };
        let id = CustomerId::parse(Text::from(id), &subject.manifest.id).unwrap_or_else(|_| usual.clone());
        for (command, plain) in commands(&id, &value).into_iter().zip(commands(&usual, &Text::from_static("x"))) {
            let urls = planned(subject, &command, input.len());
            let expected = planned(subject, &plain, input.len());
            for (index, url) in urls.iter().enumerate() {
                check_planned(&base, url, input.len());
                if let Some(expected) = expected.get(index) {
                    assert_eq!(segments(url), segments(expected), "{url} has other segments than {expected}");
                }
            }
        }
    }
}

const USUAL: &str = "cus_Mxxxxxxxxxxxxxxx";
const USUAL_UUID: &str = "b78de3c9-7f76-4f43-9c5d-19d9f5c7c985";

/// A command for every route.
fn commands(id: &CustomerId, value: &Text) -> Vec<Command> {
    let filter = |set: fn(&mut CustomerFilter, Text)| {
        let mut filter = CustomerFilter::default();
        set(&mut filter, value.clone());
        filter
    };
    let list = |position: Position, filter| Command::List(ListCustomers { limit: 20, position, filter });
    let of_customer = || ListOfCustomer {
        id: id.clone(),
        limit: 20,
        position: Position::Token(value.clone()),
        status: Some(value.clone()),
    };
    let name = CustomerFields { name: Patch::Set(value.clone()), ..CustomerFields::default() };
    vec![
        Command::create(name.clone()),
        Command::Retrieve(id.clone()),
        Command::Update(UpdateCustomer { id: id.clone(), fields: name }),
        Command::Delete(id.clone()),
        Command::Block(id.clone()),
        Command::Unblock(id.clone()),
        Command::OverdueInvoices(id.clone()),
        Command::PaymentMethods(of_customer()),
        Command::Payments(of_customer()),
        Command::Payments(ListOfCustomer { position: Position::START, ..of_customer() }),
        Command::Find(Lookup::Email(value.clone())),
        Command::Find(Lookup::Phone(value.clone())),
        Command::Find(Lookup::Did(value.clone())),
        Command::Find(Lookup::Reference(value.clone())),
        list(Position::Token(value.clone()), CustomerFilter::default()),
        list(Position::START, filter(|filter, value| filter.email = Some(value))),
        list(Position::START, filter(|filter, value| filter.phone = Some(value))),
        list(Position::START, filter(|filter, value| filter.search = Some(value))),
        list(Position::START, filter(|filter, value| filter.did = Some(value))),
    ]
}

/// The paths and queries that are planned; none for a command that is refused.
fn planned(subject: &Subject, command: &Command, input: usize) -> Vec<String> {
    match engine::plan(&subject.provider, command, Conditions::canonical(LossPolicy::Drop)) {
        Ok(planned) => planned.requests().iter().map(|request| request.uri().to_string()).collect(),
        Err(error) => {
            check_error(&error, input);
            Vec::new()
        }
    }
}

fn segments(url: &str) -> usize {
    url.split('?').next().unwrap_or_default().split('/').count()
}

/// What a plan writes is sent as it is.
fn check_planned(base: &Base, planned: &str, input: usize) {
    assert_in_proportion("a URL", planned.len(), input);
    let uri = planned.parse().expect("a planned URL");
    let url = base.below(&uri).expect("a planned URL is not rewritten");
    assert!(url.as_str().ends_with(planned), "{planned} is sent as {url}");
    check_below(base, url.as_str());
}

/// Any path: it is sent below the base, or refused.
fn check_sent(base: &Base, path: &str) {
    if let Ok(uri) = path.parse()
        && let Ok(url) = base.below(&uri)
    {
        check_below(base, url.as_str());
    }
}

fn check_below(base: &Base, url: &str) {
    let rest = url.strip_prefix(base.as_str());
    assert!(rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?'])), "{url} is not below {base:?}");
    // A host may be a dot, as strange as that is.
    let path = rest.unwrap_or_default().split('?').next().unwrap_or_default();
    let climbs = path.split('/').any(|segment| matches!(&*segment.to_lowercase().replace("%2e", "."), "." | ".."));
    assert!(!climbs, "{url} leads to another path");
}
