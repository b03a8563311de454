//! The fields of the canonical customer, in one table. All other lists of fields derive from it.

/// Who can write a field.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    /// A merchant may write it.
    Written,
    /// Only the provider writes it; answers show it.
    ReadOnly,
}

/// The names of a field in the API, and who can write it.
struct Row {
    name: &'static str,
    pointer: &'static str,
    access: Access,
}

/// Generates the enum and its lists from the table, so that no list can lack a field. Other code that handles single
/// fields matches without `_`, or destructures without `..`, so that the compiler finds a missing field.
macro_rules! fields {
    ($($field:ident: $access:ident $name:literal $(/ $part:literal)?;)*) => {
        /// A field of the canonical customer, as fidelity reports and manifests name it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[expect(missing_docs, reason = "the names are the fields of the API, described in its contract")]
        pub enum Field {
            $($field,)*
        }

        impl Field {
            /// Every field, in the order of the table.
            pub const ALL: [Self; [$(Self::$field),*].len()] = [$(Self::$field),*];

            const fn row(self) -> Row {
                match self {
                    $(Self::$field => Row {
                        name: concat!($name $(, ".", $part)?),
                        pointer: concat!("/", $name $(, "/", $part)?),
                        access: Access::$access,
                    },)*
                }
            }
        }
    };
}

fields! {
    Id: ReadOnly "id";
    Name: Written "name";
    FirstName: Written "first_name";
    LastName: Written "last_name";
    Email: Written "email";
    Phone: Written "phone";
    Whatsapp: Written "whatsapp";
    Line1: Written "address" / "line1";
    Line2: Written "address" / "line2";
    City: Written "address" / "city";
    State: Written "address" / "state";
    PostalCode: Written "address" / "postal_code";
    Country: Written "address" / "country";
    Type: Written "type";
    Did: Written "did";
    Balance: Written "balance";
    Delinquent: ReadOnly "delinquent";
    Blocked: ReadOnly "blocked";
    Livemode: ReadOnly "livemode";
    Metadata: Written "metadata";
    CreatedAt: ReadOnly "created_at";
    UpdatedAt: ReadOnly "updated_at";
}

impl Field {
    /// Every field that a merchant may write, in the order of the table.
    pub const WRITABLE: [Self; count(Access::Written)] = of(Access::Written);

    /// Every field that only the provider writes, in the order of the table.
    pub const READ_ONLY: [Self; count(Access::ReadOnly)] = of(Access::ReadOnly);

    /// The dotted name, such as `address.city`.
    pub const fn name(self) -> &'static str {
        self.row().name
    }

    /// The field as a noun in a sentence, such as `an e-mail`.
    pub const fn noun(self) -> &'static str {
        match self {
            Self::Id => "an id",
            Self::Name => "a name",
            Self::FirstName => "a first name",
            Self::LastName => "a last name",
            Self::Email => "an e-mail",
            Self::Phone => "a phone",
            Self::Whatsapp => "a WhatsApp number",
            Self::Line1 | Self::Line2 => "an address line",
            Self::City => "a city",
            Self::State => "a state",
            Self::PostalCode => "a postal code",
            Self::Country => "a country",
            Self::Type => "a type",
            Self::Did => "a DID",
            Self::Balance => "a balance",
            Self::Delinquent => "a delinquency",
            Self::Blocked => "a block",
            Self::Livemode => "a mode",
            Self::Metadata => "metadata",
            Self::CreatedAt | Self::UpdatedAt => "a time",
        }
    }

    /// The JSON Pointer into a customer, such as `/address/city`.
    pub const fn pointer(self) -> &'static str {
        self.row().pointer
    }

    /// The field of a member `key` in an object of the API. `object` is the pointer of the object: empty for the
    /// customer, or `/address`.
    pub fn member(object: &str, key: &str) -> Option<Self> {
        let is_it = |field: &Self| {
            let rest = field.pointer().strip_prefix(object).and_then(|rest| rest.strip_prefix('/'));
            rest == Some(key)
        };
        // What is in an object is no member of its parent, also under a key that looks like its pointer.
        Self::ALL.into_iter().find(is_it).filter(|_| !key.contains('/'))
    }
}

/// The number of fields with an access.
const fn count(access: Access) -> usize {
    let (mut count, mut index) = (0, 0);
    while index < Field::ALL.len() {
        if Field::ALL[index].row().access as u8 == access as u8 {
            count += 1;
        }
        index += 1;
    }
    count
}

/// The fields with an access. `COUNT` is their number.
const fn of<const COUNT: usize>(access: Access) -> [Field; COUNT] {
    let mut fields = [Field::Id; COUNT];
    let (mut count, mut index) = (0, 0);
    while index < Field::ALL.len() {
        let field = Field::ALL[index];
        if field.row().access as u8 == access as u8 {
            fields[count] = field;
            count += 1;
        }
        index += 1;
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_either_writable_or_read_only() {
        assert_eq!(Field::WRITABLE.len() + Field::READ_ONLY.len(), Field::ALL.len());
        assert_eq!(
            Field::READ_ONLY.map(Field::name),
            ["id", "delinquent", "blocked", "livemode", "created_at", "updated_at"]
        );
    }

    #[test]
    fn a_field_is_found_by_its_object_and_key() {
        assert_eq!(Field::member("", "email"), Some(Field::Email));
        assert_eq!(Field::member("/address", "city"), Some(Field::City));
        for (object, key) in
            [("", "city"), ("", "address/city"), ("", "address.city"), ("", "address"), ("/address", "")]
        {
            assert_eq!(Field::member(object, key), None, "{object} {key}");
        }
    }

    #[test]
    fn a_field_is_found_by_its_object_and_its_key() {
        for field in Field::ALL {
            let (object, key) = field.pointer().rsplit_once('/').expect("a pointer");
            assert_eq!(Field::member(object, key), Some(field));
        }
        for (object, key) in [("", "address/line1"), ("", "address"), ("/address", "name"), ("/addres", "s/line1")] {
            assert_eq!(Field::member(object, key), None, "{object} {key}");
        }
    }
}
