//! What can go wrong between a command and its answer. Code branches on [`Kind`], a person reads the
//! detail, and the outcome says whether anything may have happened at the provider.

use std::{borrow::Cow, fmt};

use crate::model::{IdPattern, Operation, manifest::Manifest};

/// What went wrong. The gateway maps each kind to one problem type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// An id that the provider's pattern does not allow.
    InvalidId,
    /// JSON that cannot be read, or that no two readers would read alike.
    Malformed,
    /// A field is wrong; see the fields.
    Invalid,
    /// The provider cannot hold every field, and the loss policy does not let the rest be sent; see the fields.
    FieldsNotSupported,
    /// A string holds a card number.
    CardData,
    /// The provider has no such operation.
    NotSupported,
    /// The provider knows no such customer.
    NotFound,
    /// The provider's own validation refused the request.
    Rejected,
    /// The provider answered a record that belongs to somebody else.
    SharedRecord,
    /// Too many requests, in the provider's opinion.
    RateLimited,
    /// The provider refused our credentials.
    Unauthorized,
    /// The provider failed.
    ProviderFailed,
    /// The provider's answer could not be understood.
    BadResponse,
    /// The provider could not be reached: nothing was sent.
    Unreachable,
    /// Our own limits are full: nothing was sent.
    Overloaded,
    /// Our own rate limit for the provider is used up: nothing was sent.
    Throttled,
    /// The connection broke after the request may have been sent.
    Interrupted,
    /// No answer in time.
    TimedOut,
    /// A search over many pages reached its bound before it was decided.
    ScanBound,
    /// The imitated provider has no such route.
    NoRoute,
}

/// Whether anything happened at the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Surely nothing.
    None,
    /// The write was done, though something after it failed.
    Done,
    /// It may have happened.
    Unknown,
}

impl Effect {
    /// The word of the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Done => "done",
            Self::Unknown => "unknown",
        }
    }
}

/// What is wrong with one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// A JSON Pointer (RFC 6901) into the canonical body, or a query parameter's name.
    pub pointer: Cow<'static, str>,
    /// What is wrong.
    pub detail: Cow<'static, str>,
}

impl FieldError {
    /// Names a field and what is wrong with it.
    pub fn new(pointer: impl Into<Cow<'static, str>>, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { pointer: pointer.into(), detail: detail.into() }
    }
}

/// What the provider said, in its own words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VendorAnswer {
    /// The HTTP status.
    pub status: Option<u16>,
    /// The provider's error code.
    pub code: Option<String>,
    /// The provider's message, without control characters and cut to 500 characters.
    pub message: Option<String>,
}

/// A failure, ready to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error(Box<ErrorParts>);

/// The parts of an [`Error`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorParts {
    /// What to branch on.
    pub kind: Kind,
    /// What to read: safe to show, without secrets or personal data.
    pub detail: Cow<'static, str>,
    /// The fields that are wrong.
    pub fields: Vec<FieldError>,
    /// What the provider said.
    pub vendor: Option<VendorAnswer>,
    /// When to try again, in seconds, where the provider told.
    pub retry_after: Option<u64>,
    /// Whether anything happened at the provider.
    pub effect: Effect,
    /// The id of the record that somebody else holds.
    pub existing: Option<String>,
}

impl std::ops::Deref for Error {
    type Target = ErrorParts;

    fn deref(&self) -> &ErrorParts {
        &self.0
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0.detail)
    }
}

impl std::error::Error for Error {}

impl Error {
    /// A failure of a kind, with what to tell.
    pub fn new(kind: Kind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(ErrorParts {
            kind,
            detail: detail.into(),
            fields: Vec::new(),
            vendor: None,
            retry_after: None,
            effect: Effect::None,
            existing: None,
        }))
    }

    /// An id that cannot stand in the provider's URLs.
    pub fn invalid_id(pattern: &IdPattern) -> Self {
        Self::new(Kind::InvalidId, format!("the customer id must match {}", pattern.described))
    }

    /// Fields that are wrong.
    pub fn invalid(fields: Vec<FieldError>) -> Self {
        let detail = match fields.as_slice() {
            [only] => format!("{}: {}", only.pointer, only.detail),
            many => format!("{} fields are wrong", many.len()),
        };
        Self::new(Kind::Invalid, detail).with_fields(fields)
    }

    /// An operation that a provider lacks, with the reason from its manifest.
    pub fn not_supported(manifest: &Manifest, operation: Operation) -> Self {
        let reason = manifest.operation(operation).reason().unwrap_or("the adapter does not have it");
        Self::new(Kind::NotSupported, format!("{} cannot {}: {reason}", manifest.name, operation.phrase()))
    }

    /// An answer that could not be understood. `what` says what was wrong, never what it held.
    pub fn bad_response(what: impl fmt::Display) -> Self {
        Self::new(Kind::BadResponse, format!("the provider answered {what}"))
    }

    /// The same failure, told as another kind.
    #[must_use]
    pub fn with_kind(mut self, kind: Kind) -> Self {
        self.0.kind = kind;
        self
    }

    /// Adds the wrong fields.
    #[must_use]
    pub fn with_fields(mut self, fields: Vec<FieldError>) -> Self {
        self.0.fields = fields;
        self
    }

    /// Adds what the provider said.
    #[must_use]
    pub fn with_vendor(mut self, vendor: VendorAnswer) -> Self {
        self.0.vendor = Some(vendor);
        self
    }

    /// Adds when to try again.
    #[must_use]
    pub fn with_retry_after(mut self, seconds: Option<u64>) -> Self {
        self.0.retry_after = seconds;
        self
    }

    /// Adds the id of the record that somebody else holds.
    #[must_use]
    pub fn with_existing(mut self, id: impl Into<String>) -> Self {
        self.0.existing = Some(id.into());
        self
    }

    /// Names the record that somebody else holds by another id, or not at all.
    #[must_use]
    pub fn with_existing_id(mut self, id: Option<String>) -> Self {
        self.0.existing = id;
        self
    }

    /// Says whether anything happened: a write that was not definitely refused may have happened, and
    /// one that an earlier step completed has.
    #[must_use]
    pub fn after(mut self, write: bool, already_written: bool) -> Self {
        self.0.effect = match self.0.kind {
            _ if write && self.0.kind.leaves_doubt() => Effect::Unknown,
            _ if already_written => Effect::Done,
            _ => Effect::None,
        };
        self
    }
}

impl Kind {
    /// Whether a write that failed this way may have been carried out.
    pub const fn leaves_doubt(self) -> bool {
        matches!(self, Self::ProviderFailed | Self::BadResponse | Self::Interrupted | Self::TimedOut)
    }

    /// What a status means, where a provider has no meaning of its own.
    pub const fn of_status(status: u16) -> Self {
        match status {
            401 | 403 | 407 => Self::Unauthorized,
            404 | 410 => Self::NotFound,
            429 => Self::RateLimited,
            408 | 425 | 500..=599 => Self::ProviderFailed,
            400..=499 => Self::Rejected,
            _ => Self::BadResponse,
        }
    }
}
