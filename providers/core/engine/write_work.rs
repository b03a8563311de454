//! The writes among the planned commands: creates, with the search for an existing customer; changes; deletions.
//!
//! `execute` makes and runs them. After a write, the answer must be about the customer that was asked for (`identity`), and
//! its fields are compared with those that were asked for (`compare`).

use std::{borrow::Cow, pin::Pin, sync::Arc};

use http::Method;

use super::{
    block, carry,
    compare::{Answered, AskedFields},
    distinct::Match,
    execute::retrieve,
    identity::{self, Asked},
    loss::{self, Conditions},
    prepare::{self, Updated},
};
use crate::{
    kit::{CustomerProvider, Plan, Ran, Transport, run, run_to_end},
    model::{
        CreateCustomer, Created, Customer, CustomerFields, CustomerId, Error, Fidelity, Kind, Operation, Request,
        UpdateCustomer, Written,
    },
};

/// The result of a command that is being sent.
pub type Executed<'t, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 't>>;

/// A write that is ready to be sent.
pub(super) enum WriteWork {
    Create {
        existing: Option<Box<Match>>,
        create: Plan<Created>,
        asked: Box<AskedFields>,
    },
    Change {
        plan: Plan<Updated>,
        asked: Asked,
        /// The fields, to compare them with the result.
        fields: Box<AskedFields>,
        /// Whether the plan sends a write. An update without a field that the provider stores only reads.
        writes: bool,
    },
    Block {
        plan: Plan<Box<Customer>>,
        provider: Arc<dyn CustomerProvider>,
        id: CustomerId,
        /// Whether the customer is blocked after it.
        wanted: bool,
    },
    Delete {
        /// The read before the deletion. A provider may answer success for any id.
        read: Box<Plan<Box<Customer>>>,
        delete: Plan<()>,
        provider: Arc<dyn CustomerProvider>,
        id: CustomerId,
    },
}

impl WriteWork {
    /// A block, or an unblock where the customer is not `wanted` as blocked.
    pub(super) fn block(
        provider: &Arc<dyn CustomerProvider>,
        id: &CustomerId,
        wanted: bool,
        conditions: Conditions,
    ) -> Result<Self, Error> {
        let manifest = provider.manifest();
        let operation = if wanted { Operation::Block } else { Operation::Unblock };
        if carry::keeps_block(manifest, operation, conditions.on_loss) {
            // The customer is only read: it must exist.
            let plan = provider.plan_retrieve(id)?.map(Updated::without_read).reporting(carry::report_block);
            let fields = AskedFields::new(provider, Some(id), &CustomerFields::default(), &plan.fidelity);
            return Ok(Self::Change { plan, asked: Asked::new(id, manifest), fields, writes: false });
        }
        let plan = if wanted { provider.plan_block(id)? } else { provider.plan_unblock(id)? };
        Ok(Self::Block { plan, provider: Arc::clone(provider), id: id.clone(), wanted })
    }

    pub(super) fn create(
        provider: &Arc<dyn CustomerProvider>,
        create: &CreateCustomer,
        conditions: Conditions,
    ) -> Result<Self, Error> {
        let manifest = provider.manifest();
        let create = match loss::intended_fields(&create.fields, conditions, manifest) {
            Cow::Borrowed(_) => Cow::Borrowed(create),
            Cow::Owned(fields) => Cow::Owned(CreateCustomer { fields, ..create.clone() }),
        };
        let existing = Match::of(provider, &create);
        let create = match &existing {
            // The provider gets a plain create, because the gateway has looked by then.
            Ok(Some(existing)) if !existing.by_provider => {
                Cow::Owned(CreateCustomer { distinct: false, ..create.into_owned() })
            }
            _ => create,
        };
        let mut plan = prepare::create(&**provider, &create)?;
        create.fields.rewritten.report(&mut plan.fidelity);
        loss::enforce_policy(&mut plan.fidelity, &create.fields, conditions, manifest)?;
        let asked = AskedFields::new(provider, None, &create.fields, &plan.fidelity);
        Ok(Self::Create { existing: existing?.map(Box::new), create: plan, asked })
    }

    pub(super) fn update(
        provider: &Arc<dyn CustomerProvider>,
        update: &UpdateCustomer,
        conditions: Conditions,
    ) -> Result<Self, Error> {
        let manifest = provider.manifest();
        let update = match loss::intended_fields(&update.fields, conditions, manifest) {
            Cow::Borrowed(_) => Cow::Borrowed(update),
            Cow::Owned(fields) => Cow::Owned(UpdateCustomer { id: update.id.clone(), fields }),
        };
        let mut plan = prepare::update(provider, &update)?;
        update.fields.rewritten.report(&mut plan.fidelity);
        loss::enforce_policy(&mut plan.fidelity, &update.fields, conditions, manifest)?;
        let fields = AskedFields::new(provider, Some(&update.id), &update.fields, &plan.fidelity);
        let writes = plan.requests().iter().any(|request| request.method() != Method::GET);
        Ok(Self::Change { plan, asked: Asked::new(&update.id, manifest), fields, writes })
    }

    pub(super) fn delete(provider: &Arc<dyn CustomerProvider>, id: &CustomerId) -> Result<Self, Error> {
        let read = Box::new(provider.plan_retrieve(id)?);
        Ok(Self::Delete { read, delete: provider.plan_delete(id)?, provider: Arc::clone(provider), id: id.clone() })
    }

    /// The requests that will be sent, in order, as far as they are known before the provider has answered.
    pub(super) fn requests(&self) -> Vec<&Request> {
        match self {
            Self::Create { existing, create, .. } => {
                existing.iter().flat_map(|existing| existing.requests()).chain(create.requests()).collect()
            }
            Self::Change { plan, .. } => plan.requests(),
            Self::Block { plan, .. } => plan.requests(),
            Self::Delete { read, delete, .. } => read.requests().into_iter().chain(delete.requests()).collect(),
        }
    }

    /// How the fields of the write change on the way to the provider.
    pub(super) fn fidelity(&self) -> Fidelity {
        match self {
            Self::Create { create, .. } => create.fidelity.clone(),
            Self::Change { plan, .. } => plan.fidelity.clone(),
            Self::Block { .. } | Self::Delete { .. } => Fidelity::default(),
        }
    }

    /// Compares the result of the write, which reconciliation found, with what the write asked for.
    pub(super) async fn compare(self, transport: &dyn Transport, found: Written) -> Written {
        match (self, found) {
            (Self::Create { create, asked, .. }, Written::Created(mut created)) => {
                asked.check_created(transport, &mut created, create.fidelity, Answered::InList).await;
                Written::Created(created)
            }
            (Self::Change { plan, fields, .. }, Written::Changed(mut customer)) => {
                // The record from before the update is not known any more. The customer itself has the same values in
                // every field that the update does not mention.
                let before = customer.clone();
                fields.check(transport, &mut customer, plan.fidelity, Answered::ByRead, Some(&before)).await;
                Written::Changed(customer)
            }
            (_, found) => found,
        }
    }

    /// Sends the write and reads its result.
    pub(super) fn execute(self, transport: &dyn Transport) -> Executed<'_, Written> {
        match self {
            Self::Create { existing: None, create, asked } => {
                Box::pin(created(create, asked, transport, Written::Created))
            }
            Self::Create { existing: Some(existing), create, asked } => Box::pin(async move {
                let lookup = existing.lookup.clone();
                if let Some(mut found) = existing.find(transport).await? {
                    asked.check_created(transport, &mut found, create.fidelity, Answered::InList).await;
                    return Ok(Written::Created(found));
                }
                let created = created(create, asked, transport, std::convert::identity).await?;
                Match::confirm(&lookup, created).map(Written::Created)
            }),
            Self::Change { mut plan, asked, fields, writes } => {
                let sent = std::mem::take(&mut plan.fidelity);
                let ran = run_to_end(transport, plan);
                Box::pin(async move {
                    let Ran { result, was_read } = ran.await.map_err(not_changed)?;
                    // The provider has changed a customer, but it is not known which one.
                    let Updated { mut customer, before } = result;
                    asked.check(&customer).map_err(|error| error.after(writes, false))?;
                    let answered = Answered::of(was_read);
                    fields.check(transport, &mut customer, sent, answered, before.as_deref()).await;
                    Ok(Written::Changed(customer))
                })
            }
            Self::Block { plan, provider, id, wanted } => {
                let ran = run_to_end(transport, plan);
                Box::pin(async move {
                    let Ran { result: mut customer, was_read } = ran.await.map_err(not_changed)?;
                    let asked = Asked::new(&id, provider.manifest());
                    asked.check(&customer).map_err(|error| error.after(true, false))?;
                    let answered = Answered::of(was_read);
                    block::check(&provider, transport, (&id, wanted), &mut customer, answered).await;
                    Ok(Written::Changed(customer))
                })
            }
            Self::Delete { read, delete, provider, id } => Box::pin(async move {
                let asked = Asked::new(&id, provider.manifest());
                asked.checked(run(transport, *read).await?)?;
                match run(transport, delete).await {
                    Ok(()) => Ok(Written::Deleted),
                    // The answer does not acknowledge the deletion. A customer who does not exist any more is deleted.
                    Err(error) if error.kind == Kind::BadResponse => match retrieve(&provider, transport, &id).await {
                        Err(read) if read.kind == Kind::NotFound => Ok(Written::Deleted),
                        _ => Err(error),
                    },
                    Err(error) => Err(error),
                }
            }),
        }
    }
}

/// The error of a change. There was no customer to change, also where only the read after the change shows it.
fn not_changed(error: Error) -> Error {
    match error.kind {
        Kind::NotFound => error.after(false, false),
        _ => error,
    }
}

/// Creates a customer, compares it with the fields that were asked for, and converts the result.
fn created<R: Send + 'static>(
    mut create: Plan<Created>,
    asked: Box<AskedFields>,
    transport: &dyn Transport,
    convert: fn(Created) -> R,
) -> impl Future<Output = Result<R, Error>> + Send + use<'_, R> {
    let sent = std::mem::take(&mut create.fidelity);
    let ran = run_to_end(transport, create);
    async move {
        let Ran { result: mut created, was_read } = ran.await?;
        // If its id cannot be used, the provider has made a customer all the same.
        identity::check(&created.customer, asked.manifest()).map_err(|error| error.after(true, false))?;
        asked.check_created(transport, &mut created, sent, Answered::of(was_read)).await;
        Ok(convert(created))
    }
}

/// Boxes the future of a result, and converts the result.
pub(super) fn executed<'t, T: 'static, R: 'static>(
    result: impl Future<Output = Result<T, Error>> + Send + 't,
    convert: fn(T) -> R,
) -> Executed<'t, R> {
    Box::pin(async move { result.await.map(convert) })
}
