//! The sample customers that every twin starts with. They are the examples of the vendors' own documentation.

use jiff::Timestamp;
use passerelle_providers::{
    VendorServer,
    engine::records::Records,
    json::{Extra, JsonObject},
    model::{CustomerFields, Invoice, Operation, OverdueInvoices, Patch, Payment, PaymentMethod},
    text::Text,
};
use serde_json::value::RawValue;

/// Records with the sample customers. Each has payment methods, payments and invoices, if the vendor has them.
pub(super) fn records(vendor: &dyn VendorServer) -> Records {
    let manifest = vendor.manifest();
    let mut records = Records::default();
    for (place, sample) in SAMPLES.iter().enumerate() {
        let number = u8::try_from(place + 1).unwrap_or(u8::MAX);
        let created: Timestamp = sample.created_at.parse().unwrap_or_default();
        let id = records.add(vendor, &sample.fields(), created, [number; 16]);
        // Each has completed payments, also where the vendor does not list payments by customer.
        records.set_with_transactions(id.clone());
        if manifest.operation(Operation::PaymentMethods).is_supported() {
            let mut method = sample.payment_method(number);
            vendor.fill_new_payment_method(&mut method, &id, [number; 16]);
            records.set_payment_methods(id.clone(), vec![method]);
        }
        if manifest.operation(Operation::Payments).is_supported() {
            records.set_payments(id.clone(), sample.payments(number, &id));
        }
        if manifest.operation(Operation::OverdueInvoices).is_supported() {
            records.set_overdue_invoices(id, sample.invoices(number));
        }
    }
    records
}

/// A customer that every twin starts with.
struct Sample {
    name: &'static str,
    email: &'static str,
    phone: &'static str,
    channel: &'static str,
    line1: &'static str,
    city: &'static str,
    country: &'static str,
    created_at: &'static str,
}

/// The examples of the vendors' own documentation.
const SAMPLES: &[Sample] = &[
    Sample {
        name: "Amadou Ba",
        email: "amadou.ba@example.com",
        phone: "+221771234567",
        channel: "sn.orange",
        line1: "12 Avenue Cheikh Anta Diop",
        city: "Dakar",
        country: "SN",
        created_at: "2025-04-04T14:21:49.955Z",
    },
    Sample {
        name: "Caleb Okpara",
        email: "caleb@modempay.com",
        phone: "+2207000001",
        channel: "qmoney",
        line1: "5 Kairaba Avenue",
        city: "Banjul",
        country: "GM",
        created_at: "2025-05-11T13:54:10.104Z",
    },
    Sample {
        name: "John Doe",
        email: "john@example.com",
        phone: "+237680000000",
        channel: "cm.mtn",
        line1: "123 Main St",
        city: "Douala",
        country: "CM",
        created_at: "2025-06-19T12:30:00.000Z",
    },
];

impl Sample {
    fn fields(&self) -> CustomerFields {
        let set = |text: &'static str| Patch::Set(Text::from_static(text));
        let mut fields = CustomerFields {
            name: set(self.name),
            email: set(self.email),
            phone: set(self.phone),
            ..CustomerFields::default()
        };
        fields.address.line1 = set(self.line1);
        fields.address.city = set(self.city);
        fields.address.country = set(self.country);
        fields
    }

    fn payment_method(&self, number: u8) -> PaymentMethod {
        PaymentMethod {
            id: Text::from(format!("pm_{number:04}")),
            kind: Some(Text::from_static("mobilepay")),
            channel: Some(Text::from_static(self.channel)),
            last4: Some(Text::from_static("9944")),
            phone: Some(Text::from_static(self.phone)),
            created_at: Some(Text::from_static(self.created_at)),
            ..PaymentMethod::default()
        }
    }

    fn payments(&self, number: u8, customer: &Text) -> Vec<Payment> {
        // The PyPI client of Notch Pay cannot decode a payment without these members.
        let mut extra = Extra::default();
        extra.add_text("customer", customer);
        extra.add("sandbox", RawValue::TRUE);
        let payment = |part: u8, amount: &'static str, status: &'static str| Payment {
            id: Text::from(format!("pay_{number:04}{part}")),
            reference: Some(Text::from(format!("order_{number}{part}"))),
            amount: Some(Text::from_static(amount)),
            currency: Some(Text::from_static("XAF")),
            status: Some(Text::from_static(status)),
            created_at: Some(Text::from_static(self.created_at)),
            extra: extra.clone(),
        };
        vec![payment(1, "5000", "complete"), payment(2, "12500", "failed"), payment(3, "800", "complete")]
    }

    fn invoices(&self, number: u8) -> OverdueInvoices {
        let invoice = Invoice {
            id: Text::from(format!("in_{number:04}")),
            number: Some(Text::from(format!("ABCD1234-{number:04}"))),
            status: Some(Text::from_static("uncollectible")),
            amount_due: Some(Text::from_static("2500")),
            amount_remaining: Some(Text::from_static("2500")),
            currency: Some(Text::from_static("curr_usd")),
            created_at: Some(Text::from_static(self.created_at)),
            ..Invoice::default()
        };
        let summary = r#"{"curr_usd":{"amount":"2500","currency":{"id":"curr_usd","symbol":"USD","decimal":2},"method":{"id":"pm_stripe","type":"stripe"}}}"#;
        OverdueInvoices { customer: None, invoices: vec![invoice], summary: JsonObject::in_string(summary) }
    }
}
