//! JSON without copies: a reader that borrows from the message, objects that are passed on unchanged, and writers into
//! one buffer.

pub mod canonical;
mod mistake;
mod object;
mod reader;
mod scalar;
#[cfg(test)]
pub(crate) mod tests;
mod value;
pub(crate) mod write;

pub use mistake::ParseError;
pub use object::{Extra, JsonObject, serialize_extra};
pub use reader::{FromJson, Reader, from_str};
pub use scalar::{Loose, Number, ObjectOrOther};
pub use value::{MAX_ENTRY, Members, Raw, each_member, members};
pub use write::{Json, to_raw};
