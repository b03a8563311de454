//! Bitnob's words: the documents of its customers API. What is read knows every spelling; behind a slash is
//! the one that generation v1 writes.

use crate::{json::Raw, kit::document::wire, text::Str};

wire! {
    /// A customer, as every answer holds it (seed) (cli); `phone_number` and `dial_code` are the newest names (nb).
    answer Customer<'a> {
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

    /// Anything in an envelope (cli). The status of a failure is no flag, and its message may be a list (py).
    answer Envelope<'a> of T {
        status: Raw<'a> = "status" / "success",
        message: Raw<'a> = "message",
        data: T = "data",
    }

    /// The inside of a page: customers, and what it tells of itself (cli) (oldlive).
    answer Listed<'a> of C, T {
        customers: Vec<C> = "customers",
        meta: T = "meta",
    }

    /// What a page tells of itself (seed).
    answer Meta<'a> {
        page: u64 = "page",
        take: u16 = "take",
        item_count: u64 = "item_count" / "itemCount",
        page_count: u64 = "page_count" / "pageCount",
        has_previous_page: bool = "has_previous_page" / "hasPreviousPage",
        has_next_page: bool = "has_next_page" / "hasNextPage",
    }

    /// What create and update take (seed) (old); an update takes no type (cli).
    request CustomerInput<'a> {
        customer_type: Str<'a> = "customer_type" / "customerType",
        first_name: Str<'a> = "first_name" / "firstName",
        last_name: Str<'a> = "last_name" / "lastName",
        email: Str<'a> = "email",
        phone: Str<'a> = "phone" | "phone_number" | "phoneNumber",
        country_code: Str<'a> = "country_code" / "countryCode" | "dial_code" | "dialCode",
    }

    /// Puts a customer on the blacklist, or takes it off (seed).
    request BlacklistInput {
        blacklist: bool = "blacklist",
    }
}
