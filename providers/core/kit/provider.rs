//! The one trait that a provider implements: what it can do, and one pure plan per operation.

use std::fmt::Debug;

use crate::{
    kit::{CustomerPage, Plan, unsupported},
    model::{
        CreateCustomer, Created, Customer, CustomerId, Error, Kind, ListCustomers, ListOfCustomer, Lookup, Operation,
        OverdueInvoices, Page, Payment, PaymentMethod, UpdateCustomer, manifest::Manifest,
    },
};

/// A provider, configured for one connection.
///
/// A vendor writes the `plan_*` methods. They are pure: no socket, clock, randomness or environment.
/// A method that is left out refuses loudly, and the manifest must say so with a reason. The commands
/// they get are already free of fields that the manifest declares lost, and complete where the
/// manifest says that an object must be sent whole.
///
/// Only [`crate::engine::execute`] and [`crate::engine::plan`] call them.
pub trait CustomerProvider: Debug + Send + Sync + 'static {
    /// What this provider can do.
    fn manifest(&self) -> &'static Manifest;

    /// Creates a customer.
    fn plan_create(&self, _: &CreateCustomer) -> Result<Plan<Created>, Error> {
        unsupported(self.manifest(), Operation::Create)
    }

    /// Retrieves a customer.
    fn plan_retrieve(&self, _: &CustomerId) -> Result<Plan<Customer>, Error> {
        unsupported(self.manifest(), Operation::Retrieve)
    }

    /// Retrieves a customer, whom the provider makes of what it knows about the id where there is none yet. Only
    /// its own clients ask for that.
    fn plan_retrieve_or_create(&self, _: &CustomerId) -> Result<Plan<Customer>, Error> {
        let told = format!("{} makes no customer of an id", self.manifest().name);
        Err(Error::new(Kind::NotSupported, told))
    }

    /// Finds one customer by a look-up that the manifest declares exact. `None` when there is none.
    fn plan_find(&self, _: &Lookup) -> Result<Plan<Option<Customer>>, Error> {
        unsupported(self.manifest(), Operation::Find)
    }

    /// Changes a customer. Never asked with an empty patch.
    fn plan_update(&self, _: &UpdateCustomer) -> Result<Plan<Customer>, Error> {
        unsupported(self.manifest(), Operation::Update)
    }

    /// Deletes a customer.
    fn plan_delete(&self, _: &CustomerId) -> Result<Plan<()>, Error> {
        unsupported(self.manifest(), Operation::Delete)
    }

    /// Lists customers. Filters that the manifest does not declare never come here.
    fn plan_list(&self, _: &ListCustomers) -> Result<Plan<CustomerPage>, Error> {
        unsupported(self.manifest(), Operation::List)
    }

    /// Refuses a customer's payments from now on.
    fn plan_block(&self, _: &CustomerId) -> Result<Plan<Customer>, Error> {
        unsupported(self.manifest(), Operation::Block)
    }

    /// Accepts a blocked customer's payments again.
    fn plan_unblock(&self, _: &CustomerId) -> Result<Plan<Customer>, Error> {
        unsupported(self.manifest(), Operation::Unblock)
    }

    /// Lists a customer's means of paying.
    fn plan_payment_methods(&self, _: &ListOfCustomer) -> Result<Plan<Page<PaymentMethod>>, Error> {
        unsupported(self.manifest(), Operation::PaymentMethods)
    }

    /// Lists a customer's payments.
    fn plan_payments(&self, _: &ListOfCustomer) -> Result<Plan<Page<Payment>>, Error> {
        unsupported(self.manifest(), Operation::Payments)
    }

    /// Lists a customer's overdue invoices.
    fn plan_overdue_invoices(&self, _: &CustomerId) -> Result<Plan<OverdueInvoices>, Error> {
        unsupported(self.manifest(), Operation::OverdueInvoices)
    }
}
