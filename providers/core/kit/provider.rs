//! The one trait that a provider implements: what it can do, and one pure plan per operation.

use std::{fmt::Debug, sync::Arc};

use async_trait::async_trait;

use crate::{
    engine::{
        lists::{self, ListQuery, Listing},
        prepare,
    },
    kit::{CustomerPage, Plan, Transport, run, unsupported},
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
/// The gateway calls the plans through [`prepare`], or the asynchronous methods, which are provided.
#[async_trait]
pub trait CustomerProvider: Share + Debug + Send + Sync + 'static {
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

    /// Creates a customer, or answers the existing one where the command asks for that.
    async fn create(&self, transport: &dyn Transport, command: &CreateCustomer) -> Result<Created, Error> {
        if let Some(existing) = lists::existing(&*self.share(), transport, command).await? {
            return Ok(existing);
        }
        run(transport, prepare::create(self, command)?).await
    }

    /// Retrieves a customer.
    async fn retrieve(&self, transport: &dyn Transport, id: &CustomerId) -> Result<Customer, Error> {
        run(transport, self.plan_retrieve(id)?).await
    }

    /// Finds one customer, natively or by reading lists to a bound.
    async fn find(&self, transport: &dyn Transport, lookup: &Lookup) -> Result<Option<Customer>, Error> {
        lists::find(&*self.share(), transport, lookup).await
    }

    /// Changes a customer.
    async fn update(&self, transport: &dyn Transport, command: &UpdateCustomer) -> Result<Customer, Error> {
        run(transport, prepare::update(self, command)?).await
    }

    /// Deletes a customer.
    async fn delete(&self, transport: &dyn Transport, id: &CustomerId) -> Result<(), Error> {
        run(transport, self.plan_delete(id)?).await
    }

    /// Lists customers, filtered exactly.
    async fn list(&self, transport: &dyn Transport, query: &ListQuery) -> Result<Listing, Error> {
        lists::list(&*self.share(), transport, query).await
    }

    /// Refuses a customer's payments from now on.
    async fn block(&self, transport: &dyn Transport, id: &CustomerId) -> Result<Customer, Error> {
        run(transport, self.plan_block(id)?).await
    }

    /// Accepts a blocked customer's payments again.
    async fn unblock(&self, transport: &dyn Transport, id: &CustomerId) -> Result<Customer, Error> {
        run(transport, self.plan_unblock(id)?).await
    }

    /// Lists a customer's means of paying.
    async fn payment_methods(
        &self,
        transport: &dyn Transport,
        command: &ListOfCustomer,
    ) -> Result<Page<PaymentMethod>, Error> {
        run(transport, self.plan_payment_methods(command)?).await
    }

    /// Lists a customer's payments.
    async fn payments(&self, transport: &dyn Transport, command: &ListOfCustomer) -> Result<Page<Payment>, Error> {
        run(transport, self.plan_payments(command)?).await
    }

    /// Lists a customer's overdue invoices.
    async fn overdue_invoices(&self, transport: &dyn Transport, id: &CustomerId) -> Result<OverdueInvoices, Error> {
        run(transport, self.plan_overdue_invoices(id)?).await
    }
}

/// Gives a provider to a plan that has to plan again. Every provider that can be cloned has it.
pub trait Share {
    /// This provider, to be kept.
    fn share(&self) -> Arc<dyn CustomerProvider>;
}

impl<P: CustomerProvider + Clone> Share for P {
    fn share(&self) -> Arc<dyn CustomerProvider> {
        Arc::new(self.clone())
    }
}
