//! The fields of the canonical customer, in one table.

/// Who decides what a field holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    /// A merchant may write it.
    Written,
    /// Only the provider decides; answers show it.
    ReadOnly,
}

/// What the API calls a field, and who decides on it.
struct Row {
    name: &'static str,
    pointer: &'static str,
    access: Access,
}

/// Makes the enum and its lists of the table, so that no list can lack a field. Everything else that treats fields
/// one by one matches without `_`, or takes the structs apart without `..`.
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

    /// Every field that only the provider decides on, in the order of the table.
    pub const READ_ONLY: [Self; count(Access::ReadOnly)] = of(Access::ReadOnly);

    /// The dotted name, such as `address.city`.
    pub const fn name(self) -> &'static str {
        self.row().name
    }

    /// The JSON Pointer into a customer, such as `/address/city`.
    pub const fn pointer(self) -> &'static str {
        self.row().pointer
    }

    /// The field that is a member of an object of the API: of the customer, whose pointer is empty, or of `/address`.
    pub fn member(object: &str, key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|field| field.pointer().rsplit_once('/') == Some((object, key)))
    }
}

/// How many fields there are of an access.
const fn count(access: Access) -> usize {
    let (mut count, mut place) = (0, 0);
    while place < Field::ALL.len() {
        if Field::ALL[place].row().access as u8 == access as u8 {
            count += 1;
        }
        place += 1;
    }
    count
}

/// The fields of an access, which are so many.
const fn of<const COUNT: usize>(access: Access) -> [Field; COUNT] {
    let mut fields = [Field::Id; COUNT];
    let (mut count, mut place) = (0, 0);
    while place < Field::ALL.len() {
        let field = Field::ALL[place];
        if field.row().access as u8 == access as u8 {
            fields[count] = field;
            count += 1;
        }
        place += 1;
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_written_or_only_read() {
        assert_eq!(Field::WRITABLE.len() + Field::READ_ONLY.len(), Field::ALL.len());
        assert_eq!(
            Field::READ_ONLY.map(Field::name),
            ["id", "delinquent", "blocked", "livemode", "created_at", "updated_at"]
        );
    }

    #[test]
    fn a_field_is_known_by_its_place() {
        assert_eq!(Field::member("", "email"), Some(Field::Email));
        assert_eq!(Field::member("/address", "city"), Some(Field::City));
        for (object, key) in
            [("", "city"), ("", "address/city"), ("", "address.city"), ("", "address"), ("/address", "")]
        {
            assert_eq!(Field::member(object, key), None, "{object} {key}");
        }
    }
}
