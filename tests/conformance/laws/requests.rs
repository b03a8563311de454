//! Laws about requests: the server side decodes a request into the command that the client side planned.

use libtest_mimic::Failed;
use passerelle_providers::{
    kit::Step,
    model::{
        Command, Customer, CustomerFilter, Field, Kind, ListCustomers, Operation, Page, Position, Reply,
        UpdateCustomer,
        manifest::{FilterSupport, PagingStyle},
    },
    text::Text,
};
use proptest::prelude::*;

use super::{Subject, compare_fields, fail, plan, run_cases, usual};
use crate::{fields::sent_update, sample, show};

pub(super) fn the_server_side_decodes_a_create_as_planned(subject: Subject) -> Result<(), Failed> {
    if !subject.supports(Operation::Create) {
        return Ok(());
    }
    let (provider, server) = (subject.provider(), subject.server());
    run_cases(&sample::fields(subject.written_and_shown()), |fields| {
        let mut create = sample::usual_create(subject.manifest);
        create.fields = fields.clone();
        let requests = plan(&provider, &Command::Create(create)).map_err(|error| fail(error.to_string()))?;
        let accepted = server.accept(&requests.0[0]).map_err(|error| fail(format!("{error} {:?}", error.fields)))?;
        let Command::Create(accepted) = accepted else { return Err(fail("the server side decoded another command")) };
        compare_fields(subject, &fields, &accepted.fields)
    })
}

pub(super) fn the_server_side_decodes_an_update_as_planned(subject: Subject) -> Result<(), Failed> {
    if !subject.supports(Operation::Update) {
        return Ok(());
    }
    let (server, id) = (subject.server(), subject.id());
    let current = Customer { id: id.public().clone(), ..Customer::default() };
    let is_updated = |field: &Field| subject.manifest.field(*field).update.is_supported();
    let updated: Vec<Field> = subject.written_and_shown().into_iter().filter(is_updated).collect();
    run_cases(&sample::fields(updated), |fields| {
        let update = UpdateCustomer { id: id.clone(), fields: fields.clone() };
        let write = sent_update(subject, &current, update).map_err(|failed| fail(format!("{failed:?}")))?;
        let accepted = server.accept(&write).map_err(|error| fail(format!("{error} {:?}", error.fields)))?;
        let Command::Update(accepted) = accepted else { return Err(fail("the server side decoded another command")) };
        prop_assert_eq!(&accepted.id, &id);
        compare_fields(subject, &fields, &accepted.fields)
    })
}

pub(super) fn the_server_side_decodes_every_command_as_planned(subject: Subject) -> Result<(), Failed> {
    let (provider, server) = (subject.provider(), subject.server());
    for operation in Operation::ALL {
        if !subject.supports(operation) || matches!(operation, Operation::Create | Operation::Find) {
            continue;
        }
        let command = usual(subject, operation);
        let request = if let Command::Update(update) = &command {
            // What is planned of an update may be a preview with placeholders.
            let current = Customer { id: update.id.public().clone(), ..Customer::default() };
            sent_update(subject, &current, update.clone())?
        } else {
            let requests = plan(&provider, &command)?;
            let first = requests.0.first().cloned();
            requests.write().or(first).ok_or("the plan has no request")?
        };
        let accepted = server.accept(&request).map_err(|error| format!("{}: {error}", operation.name()))?;
        if let (Command::Update(planned), Command::Update(decoded)) = (&command, &accepted) {
            if planned.id != decoded.id || planned.fields.email != decoded.fields.email {
                return Err("the server side decoded another update".into());
            }
        } else if let (Command::PaymentMethods(planned), Command::PaymentMethods(decoded)) = (&command, &accepted)
            && request.uri().query().is_none()
        {
            // The request to a provider that answers all of them at once has no page.
            if planned.id != decoded.id {
                return Err("the server side decoded another customer's payment methods".into());
            }
        } else if show::command(&command) != show::command(&accepted) {
            let message = format!("{} was decoded as {}", show::command(&command), show::command(&accepted));
            return Err(message.into());
        }
    }
    Ok(())
}

/// Every style of paging: what the client side sends for a page is what the server side decodes.
pub(crate) fn the_server_side_decodes_pages_as_planned(subject: Subject) -> Result<(), Failed> {
    let (provider, server) = (subject.provider(), subject.server());
    for (limit, page) in [(1, 1), (7, 3), (subject.manifest.paging.max_limit, 2)] {
        let list = |position| ListCustomers { limit, position, filter: Default::default() };
        let PageOfAClient { sent, decoded } = page_of_a_client(subject, &list(Position::of_page(page, limit)))?;
        let accepted = server.accept(&plan(&provider, &Command::List(list(sent)))?.0[0])?;
        if accepted != Command::List(list(decoded)) {
            return Err(format!("a page of {limit} was decoded as {}", show::command(&accepted)).into());
        }
    }
    Ok(())
}

/// One page in the vendor's style.
pub(super) struct PageOfAClient {
    /// The position for which the client side plans the request.
    pub(super) sent: Position,
    /// The position that the server side decodes from it.
    pub(super) decoded: Position,
}

/// The page of a list in the vendor's style. Where the vendor pages with tokens, its client has the token from the answer
/// to the page before; where it pages by the last customer, the client has the id of one.
pub(super) fn page_of_a_client(subject: Subject, list: &ListCustomers) -> Result<PageOfAClient, Failed> {
    let decoded = list.position.clone();
    if decoded == Position::START {
        return Ok(PageOfAClient { sent: decoded.clone(), decoded });
    }
    match subject.manifest.paging.style {
        PagingStyle::Pages | PagingStyle::Offset => Ok(PageOfAClient { sent: decoded.clone(), decoded }),
        PagingStyle::AfterCustomer => {
            let last = Position::AfterCustomer(subject.id());
            Ok(PageOfAClient { sent: last.clone(), decoded: last })
        }
        PagingStyle::Token => {
            let first = ListCustomers { position: Position::START, ..list.clone() };
            let page = Page { items: Vec::new(), next: Some(decoded.clone()), total: None };
            let answer = subject.server().answer(&Command::List(first.clone()), &Reply::Customers(page))?;
            match subject.provider().plan_list(&first)?.into_owned().read(answer)? {
                Step::Done(Page { next: Some(sent), .. }) => Ok(PageOfAClient { sent, decoded }),
                _ => Err("a page that is not the last has no position of the next one".into()),
            }
        }
    }
}

/// A filter that the provider applies exactly must reach it unchanged. One that it applies loosely may be sent as a
/// search. One that the gateway applies must not be sent.
pub(super) fn the_server_side_decodes_filters_as_declared(subject: Subject) -> Result<(), Failed> {
    let (provider, server) = (subject.provider(), subject.server());
    let filters = &subject.manifest.filters;
    let text = |text| Some(Text::from_static(text));
    let empty = CustomerFilter::default;
    for (support, filter) in [
        (filters.email, CustomerFilter { email: text("amadou.ba@example.com"), ..empty() }),
        (filters.phone, CustomerFilter { phone: text("+221771234567"), ..empty() }),
        (filters.did, CustomerFilter { did: text("z1CanaryDid"), ..empty() }),
        (filters.blocked, CustomerFilter { blocked: Some(true), ..empty() }),
        (filters.search, CustomerFilter { search: text("Amadou & Ba"), ..empty() }),
    ] {
        let list = Command::List(ListCustomers { limit: 7, position: Position::START, filter: filter.clone() });
        let requests = match (support, plan(&provider, &list)) {
            (FilterSupport::No(_), Err(error)) if error.kind == Kind::Invalid => continue,
            (FilterSupport::No(_), _) => {
                return Err(format!("{filter:?} is planned, but declared as not supported").into());
            }
            (_, planned) => planned?,
        };
        let accepted = match server.accept(&requests.0[0])? {
            Command::List(accepted) => accepted.filter,
            other => return Err(format!("{filter:?} was decoded as {}", show::command(&other)).into()),
        };
        let is_as_declared = match support {
            FilterSupport::Exact | FilterSupport::Alone => accepted == filter,
            FilterSupport::Loose(_) => !accepted.is_empty(),
            FilterSupport::Scan | FilterSupport::No(_) => accepted.is_empty(),
        };
        if !is_as_declared {
            return Err(format!("{filter:?} was decoded as {accepted:?}").into());
        }
    }
    Ok(())
}
