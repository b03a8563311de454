//! How providers' JSON is read and written: by borrowing what the reader found, by keeping what nobody
//! expected, and by naming the field that was wrong without ever repeating its value.
//!
//! `wire!` declares a provider's documents, field by field in its own words. An `answer` reads
//! `null` and absence alike and gathers unknown members in [`Extra`]; a `request` tells `null` from
//! absence, because a merge patch must.

use serde::{Serialize, Serializer, de, ser::SerializeMap};

use crate::{
    json::{self, FromJson, Mistake},
    model::Error,
};

/// Reads a document out of a message. The error says what was wrong and where, never what it held.
pub fn parse<'s, T: FromJson<'s>>(body: &'s str) -> Result<T, Error> {
    json::from_str(body).map_err(|mistake| Error::bad_response(describe(body, &mistake)))
}

/// What a body that is not the expected document is instead.
pub fn describe(body: &str, mistake: &Mistake) -> String {
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
        Ok(_) => match mistake.wrong_member() {
            Some(path) => format!("JSON whose member `{path}` is not of the documented type"),
            None => "JSON of another shape than documented".to_owned(),
        },
    }
}

/// A document of `wire!`.
pub trait Document {
    /// Writes the members, in the vendor's usual spelling or in its other one.
    fn write<M: SerializeMap>(&self, map: &mut M, other: bool) -> Result<(), M::Error>;
}

impl<D: Document> Document for &D {
    fn write<M: SerializeMap>(&self, map: &mut M, other: bool) -> Result<(), M::Error> {
        (**self).write(map, other)
    }
}

/// A document in one of the two spellings of a vendor that has two.
#[derive(Debug)]
pub struct Spelled<D> {
    /// The document.
    pub document: D,
    /// Whether it is written in the other spelling.
    pub other: bool,
}

impl<D: Document> Serialize for Spelled<D> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.document.write(&mut map, self.other)?;
        map.end()
    }
}

/// Declares a provider's documents. Each field has its Rust name, its type, the member's name as it is
/// written, and other names under which it is read.
///
/// An answer writes what it does not have as `null`, or leaves it out where it is marked `#[omitted]`. An
/// envelope that is the same for several documents is an answer `of` whatever it holds. A name behind a slash is
/// how [`Spelled`] writes the member in the vendor's other spelling.
macro_rules! wire {
    () => {};
    (@key $other:ident, $key:literal) => { $key };
    (@key $other:ident, $key:literal, $spelled:literal) => { if $other { $spelled } else { $key } };
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
        answer $name:ident <$life:lifetime> $(of $($item:ident),+)? { $( $(#[$mark:ident])? $field:ident : $type:ty = $key:literal $(/ $other:literal)? $(| $alias:literal)* ),* $(,)? }
        $($rest:tt)*
    ) => {
        $(#[$meta])*
        #[derive(Debug)]
        pub(super) struct $name<$life, $($($item),+)?> {
            $( pub(super) $field: Option<$type>, )*
            /// Every other member.
            pub(super) extra: $crate::json::Extra<$crate::text::Str<$life>>,
        }

        impl<$life, $($($item),+)?> Default for $name<$life, $($($item),+)?> {
            fn default() -> Self {
                Self { $( $field: None, )* extra: $crate::json::Extra::default() }
            }
        }

        impl<'json: $life, $life $($(, $item: $crate::json::FromJson<'json>)+)?> $crate::json::FromJson<'json> for $name<$life, $($($item),+)?> {
            fn read(reader: &mut $crate::json::Reader<'json>) -> Result<Self, $crate::json::Mistake> {
                #[expect(non_camel_case_types, reason = "members are named as the fields are")]
                enum Member { $( $field, )* unknown_ }
                let mut read = Self::default();
                // The member that usually comes next, counted as they are declared.
                let mut next = 0;
                let mut more = reader.open_object()?;
                while more {
                    let begin = reader.place();
                    let mut unknown = $crate::text::Str::default();
                    let member = match next {
                        $( place if place == Member::$field as usize && reader.expects(concat!("\"", $key, "\":")) => Member::$field, )*
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
        }

        impl<$life, $($($item: serde::Serialize),+)?> $crate::kit::document::Document for $name<$life, $($($item),+)?> {
            fn write<M: serde::ser::SerializeMap>(&self, map: &mut M, _other: bool) -> Result<(), M::Error> {
                $( wire!(@write map, wire!(@key _other, $key $(, $other)?), &self.$field $(, $mark)?); )*
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
            fn read(reader: &mut $crate::json::Reader<'json>) -> Result<Self, $crate::json::Mistake> {
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
