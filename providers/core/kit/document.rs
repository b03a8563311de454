//! Reads and writes the wire documents of providers. Text is borrowed from the message, unknown members are kept, and
//! an error names the wrong member but never its value.
//!
//! The vendors' `wire.rs` declare their documents with `wire!`, field by field with the provider's names. An `answer`
//! reads `null` and absence alike, and keeps unknown members in [`Extra`](crate::json::Extra). A `request`
//! distinguishes `null` from absence, because a merge patch does.

use serde::{Serialize, Serializer, de, ser::SerializeMap};

use crate::{
    json::{self, FromJson, ParseError},
    model::Error,
};

/// Reads a message as a document. The error names what is wrong and where, but never contains a value of the message.
pub fn parse<'s, T: FromJson<'s>>(body: &'s str) -> Result<T, Error> {
    json::from_str(body).map_err(|error| Error::bad_response(describe(body, &error)))
}

/// Describes a body that is not the expected document.
pub fn describe(body: &str, error: &ParseError) -> String {
    if let Some(wrong) = error.wrong_list() {
        return wrong;
    }
    let trimmed = body.trim_start();
    if trimmed.is_empty() {
        return "an empty body where JSON was expected".to_owned();
    }
    if trimmed.starts_with('<') {
        return "an HTML page where JSON was expected; is `base_url` right?".to_owned();
    }
    if trimmed.trim_end() == "null" {
        return "`null` where an object was expected".to_owned();
    }
    match serde_json::from_str::<de::IgnoredAny>(body) {
        Err(malformed) if malformed.is_eof() => "JSON that ends too early".to_owned(),
        Err(_) => "text that is not JSON".to_owned(),
        Ok(_) => match error.wrong_member() {
            Some(path) => format!("JSON whose member `{path}` is not of the documented type"),
            None => "JSON of another shape than documented".to_owned(),
        },
    }
}

/// A document that `wire!` declares.
pub trait Document {
    /// Writes the members, with the vendor's usual names or, if `other` is set, with its other names.
    fn write<M: SerializeMap>(&self, map: &mut M, other: bool) -> Result<(), M::Error>;
}

impl<D: Document> Document for &D {
    fn write<M: SerializeMap>(&self, map: &mut M, other: bool) -> Result<(), M::Error> {
        (**self).write(map, other)
    }
}

/// A document of a vendor with two sets of member names, to be written with one of them.
#[derive(Debug)]
pub struct Spelled<D> {
    /// The document.
    pub document: D,
    /// Whether the document is written with the other names.
    pub other: bool,
}

impl<D: Document> Serialize for Spelled<D> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.document.write(&mut map, self.other)?;
        map.end()
    }
}

/// Declares a provider's wire documents. Each field has its Rust name, its type, the name with which the member is
/// written, and after `|` the other names with which it is read.
///
/// An answer writes a missing member as `null`, or omits it if the field has `#[omitted]`. An envelope that contains
/// different documents is an answer `of` a type parameter. A list of an answer `by` a member is read only up to the first
/// entry that lacks this member or has the empty text there. The name after a slash is the one that [`Spelled`] writes
/// for the vendor's other set of names.
macro_rules! wire {
    () => {};
    (@key $other:ident, $key:literal) => { $key };
    (@key $other:ident, $key:literal, $other_key:literal) => { if $other { $other_key } else { $key } };
    (@write $map:ident, $key:expr, $value:expr) => {
        $map.serialize_entry($key, $value)?
    };
    (@write $map:ident, $key:expr, $value:expr, omitted) => {
        if let Some(value) = $value {
            $map.serialize_entry($key, value)?;
        }
    };
    (
        $(#[$meta:meta])*
        answer $name:ident <$life:lifetime> $(of $($item:ident),+)? $(by $id:ident)? { $( $(#[$attribute:ident])? $field:ident : $type:ty = $key:literal $(/ $other:literal)? $(| $alias:literal)* ),* $(,)? }
        $($rest:tt)*
    ) => {
        $(#[$meta])*
        #[derive(Debug)]
        pub(super) struct $name<$life, $($($item),+)?> {
            $( pub(super) $field: Option<$type>, )*
            /// The members that the document does not declare.
            pub(super) extra: $crate::json::Extra<$crate::text::Str<$life>>,
        }

        impl<$life, $($($item),+)?> Default for $name<$life, $($($item),+)?> {
            fn default() -> Self {
                Self { $( $field: None, )* extra: $crate::json::Extra::default() }
            }
        }

        impl<'json: $life, $life $($(, $item: $crate::json::FromJson<'json>)+)?> $crate::json::FromJson<'json> for $name<$life, $($($item),+)?> {
            fn read(reader: &mut $crate::json::Reader<'json>) -> Result<Self, $crate::json::ParseError> {
                #[expect(non_camel_case_types, reason = "members have the names of the fields")]
                enum Member { $( $field, )* unknown_ }
                let mut read = Self::default();
                // The index of the member that usually comes next: providers send members in the declared order.
                let mut next = 0;
                let mut more = reader.open_object()?;
                while more {
                    let begin = reader.position();
                    let mut unknown = $crate::text::Str::default();
                    let member = match next {
                        $( index if index == Member::$field as usize && reader.expects(concat!("\"", $key, "\":")) => Member::$field, )*
                        _ => {
                            let key = reader.key()?;
                            match &*key {
                                $( $key $(| $other)? $(| $alias)* => Member::$field, )*
                                _ => {
                                    unknown = key;
                                    Member::unknown_
                                }
                            }
                        }
                    };
                    match member {
                        $( Member::$field => {
                            read.$field = reader.member($key)?;
                            next = Member::$field as usize + 1;
                        } )*
                        Member::unknown_ => read.extra.read(&unknown, begin, reader)?,
                    }
                    more = reader.next_member()?;
                }
                Ok(read)
            }

            $(
                #[inline]
                fn check_entry(&self) -> Result<(), $crate::json::ParseError> {
                    match &self.$id {
                        Some(id) if !id.is_empty() => Ok(()),
                        _ => Err($crate::json::ParseError::not_a_record(stringify!($id))),
                    }
                }
            )?
        }

        impl<$life, $($($item: serde::Serialize),+)?> $crate::kit::document::Document for $name<$life, $($($item),+)?> {
            fn write<M: serde::ser::SerializeMap>(&self, map: &mut M, _other: bool) -> Result<(), M::Error> {
                $( wire!(@write map, wire!(@key _other, $key $(, $other)?), &self.$field $(, $attribute)?); )*
                $crate::json::serialize_extra(map, &self.extra)
            }
        }

        impl<$life, $($($item: serde::Serialize),+)?> serde::Serialize for $name<$life, $($($item),+)?> {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                $crate::kit::document::Spelled { document: self, other: false }.serialize(serializer)
            }
        }

        wire! { $($rest)* }
    };
    (
        $(#[$meta:meta])*
        request $name:ident $(<$life:lifetime>)? { $( $field:ident : $type:ty = $key:literal $(/ $other:literal)? $(| $alias:literal)* ),* $(,)? }
        $($rest:tt)*
    ) => {
        $(#[$meta])*
        #[derive(Debug, Default)]
        pub(super) struct $name $(<$life>)? {
            $( pub(super) $field: $crate::model::Patch<$type>, )*
        }

        impl<'json $(: $life, $life)?> $crate::json::FromJson<'json> for $name $(<$life>)? {
            fn read(reader: &mut $crate::json::Reader<'json>) -> Result<Self, $crate::json::ParseError> {
                let mut read = Self::default();
                let mut more = reader.open_object()?;
                while more {
                    match &*reader.key()? {
                        $( $key $(| $other)? $(| $alias)* => {
                            let value: Option<$type> = reader.member($key)?;
                            read.$field = value.map_or($crate::model::Patch::Clear, $crate::model::Patch::Set);
                        } )*
                        _ => {
                            <$crate::json::Raw<'_> as $crate::json::FromJson<'_>>::read(reader)?;
                        }
                    }
                    more = reader.next_member()?;
                }
                Ok(read)
            }
        }

        impl $(<$life>)? $crate::kit::document::Document for $name $(<$life>)? {
            fn write<M: serde::ser::SerializeMap>(&self, map: &mut M, _other: bool) -> Result<(), M::Error> {
                $(
                    let key = wire!(@key _other, $key $(, $other)?);
                    match &self.$field {
                        $crate::model::Patch::Absent => {}
                        $crate::model::Patch::Clear => map.serialize_entry(key, &())?,
                        $crate::model::Patch::Set(value) => map.serialize_entry(key, value)?,
                    }
                )*
                Ok(())
            }
        }

        impl $(<$life>)? serde::Serialize for $name $(<$life>)? {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                $crate::kit::document::Spelled { document: self, other: false }.serialize(serializer)
            }
        }

        wire! { $($rest)* }
    };
}
pub(crate) use wire;
