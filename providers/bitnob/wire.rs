//! The JSON documents of Bitnob's customers API. The reader accepts every name of a member. The name after a slash is
//! the one that generation v1 writes; names after a bar are only read. Tags such as (docs) name a source in the README.

use crate::{json::Raw, kit::document::wire, text::Str};

wire! {
    /// A customer, as in every answer (docs) (cli). `phone_number` and `dial_code` are the newest names (nb).
    answer Customer<'a> by id {
        id: Str<'a> = "id",
        email: Str<'a> = "email",
        #[omitted]
        metadata: Raw<'a> = "metadata",
        #[omitted]
        customer_type: Str<'a> = "customer_type" / "customerType",
        first_name: Str<'a> = "first_name" / "firstName",
        last_name: Str<'a> = "last_name" / "lastName",
        phone: Str<'a> = "phone" | "phone_number" | "phoneNumber",
        country_code: Str<'a> = "country_code" / "countryCode" | "dial_code" | "dialCode",
        blacklist: bool = "blacklist",
        created_at: Str<'a> = "created_at" / "createdAt",
        updated_at: Str<'a> = "updated_at" / "updatedAt",
    }

    /// The envelope of every answer (cli). In a failure, `status` is not a boolean, and `message` may be a list (py).
    answer Envelope<'a> of T {
        status: Raw<'a> = "status" / "success",
        message: Raw<'a> = "message",
        data: T = "data",
    }

    /// The data of a list: customers, and a description of the page (cli) (oldlive).
    answer Listed<'a> of C, T {
        customers: Vec<C> = "customers",
        meta: T = "meta",
    }

    /// The description of a page (docs).
    answer Meta<'a> {
        page: u64 = "page",
        take: u16 = "take",
        item_count: u64 = "item_count" / "itemCount",
        page_count: u64 = "page_count" / "pageCount",
        has_previous_page: bool = "has_previous_page" / "hasPreviousPage",
        has_next_page: bool = "has_next_page" / "hasNextPage",
    }

    /// The body of a create or an update (docs) (old). An update has no type (cli).
    request CustomerInput<'a> {
        customer_type: Str<'a> = "customer_type" / "customerType",
        first_name: Str<'a> = "first_name" / "firstName",
        last_name: Str<'a> = "last_name" / "lastName",
        email: Str<'a> = "email",
        phone: Str<'a> = "phone" | "phone_number" | "phoneNumber",
        country_code: Str<'a> = "country_code" / "countryCode" | "dial_code" | "dialCode",
    }

    /// Looks a customer up in generation v1 (py).
    request FetchInput<'a> {
        email: Str<'a> = "email",
    }

    /// Puts a customer on the blacklist, or removes it from there (docs).
    request BlacklistInput {
        blacklist: bool = "blacklist",
    }
}
