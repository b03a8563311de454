//! The laws: what ties a client side, a server side and a manifest together, for every vendor alike.
//!
//! [`trials`] makes one named test for each law and each vendor in each generation. The files say what the laws are
//! about: `planning` and `previews` the plans of the client side, `requests` the path from the client side to the server side,
//! `answers` the way back, `carried` what the gateway keeps for the provider, `kept` what updates change and keep, `explained`
//! whether a write does what its explanation says, `truth` what the result of a write says about what the provider keeps, `errors` answers that are
//! refusals, damaged or unknown, `changes` changes that are refused with a success status, `records` whose record an answer is, `partial` lists that do not show every customer,
//! `safety` ids and secrets, `fixtures` the folders of recorded answers.

mod answers;
mod carried;
mod changes;
mod errors;
mod explained;
mod fixtures;
mod kept;
mod partial;
mod planning;
mod previews;
mod records;
pub(crate) mod requests;
mod safety;
pub(crate) mod truth;

use std::sync::Arc;

use libtest_mimic::{Failed, Trial};
use passerelle_providers::{
    CustomerProvider, Settings, VENDORS, Vendor, VendorServer,
    engine::{self, Conditions},
    kit::Endpoint,
    model::{
        Command, Customer, CustomerFields, CustomerId, Error, Field, LossPolicy, Operation, Request,
        manifest::{Manifest, Support},
    },
};
use proptest::{
    prelude::*,
    test_runner::{Config, TestCaseError, TestRunner},
};

pub(crate) use self::safety::SECRET;
use crate::{compare, sample};

/// One vendor in one generation.
#[derive(Clone, Copy)]
pub(crate) struct Subject {
    pub(crate) vendor: &'static Vendor,
    pub(crate) manifest: &'static Manifest,
}

type Law = fn(Subject) -> Result<(), Failed>;

const LAWS: &[(&str, Law)] = &[
    ("exactly_the_declared_operations_are_planned", planning::exactly_the_declared_operations_are_planned),
    ("planning_twice_gives_the_same_bytes", planning::planning_twice_gives_the_same_bytes),
    ("every_field_is_sent_or_declared_lost", planning::every_field_is_sent_or_declared_lost),
    ("the_server_side_decodes_a_create_as_planned", requests::the_server_side_decodes_a_create_as_planned),
    ("the_server_side_decodes_an_update_as_planned", requests::the_server_side_decodes_an_update_as_planned),
    (
        "an_explained_update_is_the_sent_one_but_for_what_it_takes_from_the_record",
        previews::an_explained_update_is_the_sent_one_but_for_what_it_takes_from_the_record,
    ),
    ("the_server_side_decodes_every_command_as_planned", requests::the_server_side_decodes_every_command_as_planned),
    ("the_server_side_decodes_pages_as_planned", requests::the_server_side_decodes_pages_as_planned),
    ("the_server_side_decodes_filters_as_declared", requests::the_server_side_decodes_filters_as_declared),
    ("exactly_the_declared_lookups_are_planned", planning::exactly_the_declared_lookups_are_planned),
    ("the_client_side_decodes_a_customer_as_encoded", answers::the_client_side_decodes_a_customer_as_encoded),
    ("the_client_side_decodes_a_page_as_encoded", answers::the_client_side_decodes_a_page_as_encoded),
    (
        "the_client_side_decodes_payments_and_payment_methods_as_encoded",
        answers::the_client_side_decodes_payments_and_payment_methods_as_encoded,
    ),
    (
        "the_client_side_decodes_overdue_invoices_as_encoded",
        answers::the_client_side_decodes_overdue_invoices_as_encoded,
    ),
    (
        "overdue_invoices_show_the_customer_as_a_retrieve_does",
        answers::overdue_invoices_show_the_customer_as_a_retrieve_does,
    ),
    ("the_client_side_decodes_refusals_as_encoded", answers::the_client_side_decodes_refusals_as_encoded),
    (
        "every_error_status_maps_to_the_kind_in_the_snapshot",
        errors::every_error_status_maps_to_the_kind_in_the_snapshot,
    ),
    ("a_missing_route_is_not_an_unknown_customer", errors::a_missing_route_is_not_an_unknown_customer),
    ("arbitrary_bytes_never_panic", errors::arbitrary_bytes_never_panic),
    ("damaged_answers_are_bad_responses", errors::damaged_answers_are_bad_responses),
    ("unknown_members_are_preserved", errors::unknown_members_are_preserved),
    ("deleting_an_unknown_customer_is_not_found", records::deleting_an_unknown_customer_is_not_found),
    ("no_reply_that_is_not_a_deletion_is_answered_as_one", records::no_reply_that_is_not_a_deletion_is_answered_as_one),
    ("a_deletion_without_acknowledgement_is_read_back", records::a_deletion_without_acknowledgement_is_read_back),
    (
        "a_change_that_is_refused_with_a_success_status_is_not_done",
        changes::a_change_that_is_refused_with_a_success_status_is_not_done,
    ),
    (
        "a_change_of_a_customer_that_the_read_after_it_does_not_find_has_no_effect",
        changes::a_change_of_a_customer_that_the_read_after_it_does_not_find_has_no_effect,
    ),
    ("an_answer_to_a_create_shows_the_person", records::an_answer_to_a_create_shows_the_person),
    (
        "a_look_up_that_several_customers_match_is_ambiguous",
        records::a_look_up_that_several_customers_match_is_ambiguous,
    ),
    (
        "a_distinct_create_that_several_customers_match_is_ambiguous",
        records::a_distinct_create_that_several_customers_match_is_ambiguous,
    ),
    ("an_answer_about_another_customer_is_refused", records::an_answer_about_another_customer_is_refused),
    ("an_answered_id_outside_the_pattern_is_refused", records::an_answered_id_outside_the_pattern_is_refused),
    ("whatever_a_provider_keeps_differently_is_reported", truth::whatever_a_provider_keeps_differently_is_reported),
    ("what_a_provider_does_not_clear_is_reported", truth::what_a_provider_does_not_clear_is_reported),
    ("a_changed_name_is_answered_as_later_reads_show_it", kept::a_changed_name_is_answered_as_later_reads_show_it),
    ("what_is_written_with_carry_reads_back_equal", carried::what_is_written_with_carry_reads_back_equal),
    ("what_is_cleared_with_carry_reads_back_empty", carried::what_is_cleared_with_carry_reads_back_empty),
    ("what_a_copy_cannot_hold_reads_back_equal", carried::what_a_copy_cannot_hold_reads_back_equal),
    ("what_an_update_changes_unasked_is_reported", kept::what_an_update_changes_unasked_is_reported),
    ("a_write_is_reported_as_its_explanation_says", explained::a_write_is_reported_as_its_explanation_says),
    ("no_update_removes_what_a_create_requires", explained::no_update_removes_what_a_create_requires),
    ("hostile_ids_are_refused", safety::hostile_ids_are_refused),
    ("secrets_are_never_shown", safety::secrets_are_never_shown),
    (
        "look_ups_ask_the_gateway_only_where_lists_are_partial",
        partial::look_ups_ask_the_gateway_only_where_lists_are_partial,
    ),
    (
        "every_operation_has_a_successful_and_a_refused_fixture",
        fixtures::every_operation_has_a_successful_and_a_refused_fixture,
    ),
];

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for subject in subjects() {
        let name = subject.name();
        for (law, check) in LAWS {
            trials.push(Trial::test(format!("{name}::law::{law}"), move || check(subject)));
        }
        for operation in Operation::ALL {
            if let Support::No(why) = subject.manifest.operation(operation) {
                let name = format!("{name}::{}: not supported, {why}", operation.name());
                trials.push(Trial::test(name, || Ok(())).with_ignored_flag(true));
            }
        }
    }
    trials
}

/// Every vendor in every generation.
pub(crate) fn subjects() -> impl Iterator<Item = Subject> {
    VENDORS.iter().flat_map(|vendor| vendor.manifests.iter().map(|manifest| Subject { vendor, manifest }))
}

impl Subject {
    /// The name in the names of tests.
    pub(crate) fn name(self) -> String {
        match self.vendor.manifests.len() {
            1 => self.vendor.name().to_owned(),
            _ => format!("{}_{}", self.vendor.name(), self.manifest.generation),
        }
    }

    pub(crate) fn settings(self) -> Settings {
        Settings { generation: self.manifest.generation, region: sample::region(), livemode: true }
    }

    pub(crate) fn provider(self) -> Arc<dyn CustomerProvider> {
        (self.vendor.connect)(self.settings())
    }

    pub(crate) fn server(self) -> Arc<dyn VendorServer> {
        (self.vendor.server)(self.settings())
    }

    fn endpoint(self) -> Endpoint {
        Endpoint::new(self.manifest.base_url.unwrap_or("https://app.example.com/payment"))
    }

    pub(crate) fn supports(self, operation: Operation) -> bool {
        self.manifest.operation(operation).is_supported()
    }

    fn id(self) -> CustomerId {
        sample::id(&self.manifest.id)
    }

    /// The fields that a client can write and that answers show.
    pub(crate) fn written_and_shown(self) -> Vec<Field> {
        let is_both = |field: &Field| {
            let support = self.manifest.field(*field);
            support.read.is_supported() && (support.create.is_supported() || support.update.is_supported())
        };
        Field::WRITABLE.into_iter().filter(is_both).collect()
    }

    /// The fields that answers show.
    fn shown(self) -> Vec<Field> {
        let is_shown = |field: &Field| self.manifest.field(*field).read.is_supported();
        Field::ALL.into_iter().filter(is_shown).collect()
    }
}

/// Checks generated values, the same ones in every run.
fn run_cases<S: Strategy>(strategy: &S, check: impl Fn(S::Value) -> Result<(), TestCaseError>) -> Result<(), Failed> {
    run_some_cases(128, strategy, check)
}

/// Checks this many generated values, the same ones in every run.
pub(crate) fn run_some_cases<S: Strategy>(
    cases: u32,
    strategy: &S,
    check: impl Fn(S::Value) -> Result<(), TestCaseError>,
) -> Result<(), Failed> {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(
        config,
        proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha),
    );
    runner.run(strategy, check).map_err(|failure| Failed::from(failure.to_string()))
}

pub(crate) fn fail(message: impl Into<String>) -> TestCaseError {
    TestCaseError::fail(message.into())
}

/// The requests of a planned command, in order.
struct Requests(Vec<Request>);

impl Requests {
    /// The request that writes. A plan may also read before it, or check after it.
    fn write(self) -> Option<Request> {
        self.0.into_iter().find(|request| request.method() != http::Method::GET)
    }
}

fn plan(provider: &Arc<dyn CustomerProvider>, command: &Command) -> Result<Requests, Error> {
    let planned = engine::plan(provider, command, Conditions::canonical(LossPolicy::Drop))?;
    Ok(Requests(planned.requests().into_iter().cloned().collect()))
}

/// A command that every vendor with this operation accepts.
fn usual(subject: Subject, operation: Operation) -> Command {
    let members: &[(Field, &str)] = match operation {
        Operation::Create => sample::USUAL,
        Operation::Update => &[(Field::Email, "new@example.com")],
        _ => &[],
    };
    sample::command(operation, subject.manifest, members)
}

fn compare_fields(subject: Subject, planned: &CustomerFields, decoded: &CustomerFields) -> Result<(), TestCaseError> {
    compare::same(
        &subject.written_and_shown(),
        &compare::requested(planned),
        &compare::requested(decoded),
        subject.settings().region,
    )
}

fn compare_customers(
    subject: Subject,
    fields: &[Field],
    encoded: &Customer,
    decoded: &Customer,
) -> Result<(), TestCaseError> {
    compare::same(fields, &compare::stored(encoded), &compare::stored(decoded), subject.settings().region)
}
