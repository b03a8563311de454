//! The client side of a vendor: its manifest, and one pure plan per operation.

use std::fmt::Debug;

use crate::{
    kit::{CustomerPage, Plan, unsupported},
    model::{
        CreateCustomer, Created, Customer, CustomerId, Error, Kind, ListCustomers, ListOfCustomer, Lookup, Operation,
        OverdueInvoices, Page, Payment, PaymentMethod, UpdateCustomer, manifest::Manifest,
    },
    text::country::Region,
};

/// A provider, configured for one connection.
///
/// A vendor implements the `plan_*` methods. They are pure: no socket, clock, randomness or environment. A method that
/// a vendor does not implement returns an error, and the vendor's manifest must declare the operation unsupported with
/// a reason.
///
/// Only the engine calls these methods. It removes the fields that the manifest declares lost, and completes objects
/// that the manifest declares as written whole.
pub trait CustomerProvider: Debug + Send + Sync + 'static {
    /// The abilities of this provider.
    fn manifest(&self) -> &'static Manifest;

    /// The merchant's home region, from the settings of the connection.
    fn region(&self) -> Option<Region>;

    /// Creates a customer.
    fn plan_create(&self, _: &CreateCustomer) -> Result<Plan<Created>, Error> {
        unsupported(self.manifest(), Operation::Create)
    }

    /// Retrieves a customer.
    fn plan_retrieve(&self, _: &CustomerId) -> Result<Plan<Box<Customer>>, Error> {
        unsupported(self.manifest(), Operation::Retrieve)
    }

    /// Retrieves a customer. If the customer does not exist yet, the provider creates it from what it knows about the
    /// id. Only clients of the imitated provider use it; the merchants' API has no such command.
    fn plan_retrieve_or_create(&self, _: &CustomerId) -> Result<Plan<Box<Customer>>, Error> {
        let detail = format!("{} makes no customer of an id", self.manifest().name);
        Err(Error::new(Kind::NotSupported, detail))
    }

    /// Finds one customer by a look-up that the manifest declares exact. `None` means that no customer matches.
    fn plan_find(&self, _: &Lookup) -> Result<Plan<Option<Box<Customer>>>, Error> {
        unsupported(self.manifest(), Operation::Find)
    }

    /// Changes a customer. The patch is never empty.
    fn plan_update(&self, _: &UpdateCustomer) -> Result<Plan<Box<Customer>>, Error> {
        unsupported(self.manifest(), Operation::Update)
    }

    /// Deletes a customer.
    fn plan_delete(&self, _: &CustomerId) -> Result<Plan<()>, Error> {
        unsupported(self.manifest(), Operation::Delete)
    }

    /// Lists customers. The filter has only conditions that the manifest declares.
    fn plan_list(&self, _: &ListCustomers) -> Result<Plan<CustomerPage>, Error> {
        unsupported(self.manifest(), Operation::List)
    }

    /// Whether an entry of a list shows all that a retrieval of the customer shows. If not, the gateway retrieves the customer
    /// where it must not overlook a field.
    fn lists_in_full(&self, _: &Customer) -> bool {
        true
    }

    /// Blocks a customer: the provider refuses its payments from now on.
    fn plan_block(&self, _: &CustomerId) -> Result<Plan<Box<Customer>>, Error> {
        unsupported(self.manifest(), Operation::Block)
    }

    /// Unblocks a customer: the provider accepts its payments again.
    fn plan_unblock(&self, _: &CustomerId) -> Result<Plan<Box<Customer>>, Error> {
        unsupported(self.manifest(), Operation::Unblock)
    }

    /// Lists a customer's payment methods.
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
