//! The canonical model: customers as the gateway answers them, the commands that it accepts, and the errors. It
//! contains nothing that is specific to one provider.

mod address;
pub mod auth;
mod command;
mod coverage;
mod customer;
mod error;
mod fidelity;
mod field;
mod fields;
mod filter;
mod id;
mod loss;
pub mod manifest;
mod message;
mod operation;
mod page;
mod patch;
mod payment;
mod reply;
mod rewritten;

pub use address::Address;
pub use command::{Command, CreateCustomer, ListCustomers, ListOfCustomer, UpdateCustomer};
pub use customer::{BorrowedCustomer, Customer, CustomerType, FieldValue};
pub(crate) use error::printable;
pub use error::{Effect, Error, ErrorParts, FieldError, Kind, VendorAnswer};
pub use fidelity::{Entry, Fidelity, Outcome};
pub use field::Field;
pub use fields::CustomerFields;
pub(crate) use fields::RESERVED_METADATA;
pub use filter::{CustomerFilter, Lookup};
pub use id::{CustomerId, IdPattern};
pub use loss::LossPolicy;
pub use message::{AsksForMany, MAX_RECORD, Request, Response};
pub use operation::Operation;
pub use page::{Page, Position};
pub use patch::{Patch, str_patch};
pub use payment::{Invoice, OverdueInvoices, Payment, PaymentMethod};
pub use reply::{Created, Reply, Written};
pub use rewritten::Rewritten;
