//! The log of a twin: its requests and its changes, one JSON object per line. Tests that kill the gateway read it to see
//! what really happened at the vendor.
//!
//! The twin writes a line with one `write` to a file opened for appending, before it sends the answer. A written line is
//! in the kernel, so it survives the end of any process, `kill -9` included. Only a crash of the machine can lose it;
//! the tests do not crash machines, so the twin does not wait for the disk. The log has no personal data: bodies and
//! e-mail addresses are hashed, query strings are left out, and of paths only ids and plain words are kept.

use std::{
    borrow::Cow,
    fs::{File, OpenOptions},
    io::{self, Write},
    path::Path,
};

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;
use jiff::Timestamp;
use passerelle_providers::{
    model::{Command, Operation, Patch, Reply, Request, Written, auth::header},
    text::Text,
};
use serde::{Deserialize, Serialize};

use super::faults::{Fault, OperationName};

/// The member of a customer's metadata that names the operation of the gateway which created it.
pub use passerelle_providers::kit::marker::MARKER;

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Entry {
    /// The twin read a whole request.
    Request(Received),
    /// The twin changed a record.
    Effect(Applied),
}

/// A request that the twin received.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Received {
    /// The number of the request since the start of the twin, counted from one.
    pub n: u64,
    /// When the twin read it.
    pub at: String,
    /// The HTTP method.
    pub method: String,
    /// The path without its query; `*` stands for segments that may be about a person.
    pub path: String,
    /// The operation, if the request is authorized and understood.
    pub operation: Option<OperationName>,
    /// The SHA-256 of the body in hexadecimal digits, if there is a body.
    pub body_hash: Option<String>,
    /// The `Idempotency-Key` header.
    pub idempotency_key: Option<String>,
    /// The fault that the twin played.
    pub fault: Option<Fault>,
}

/// A change that the twin made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// The number of the request.
    pub n: u64,
    /// When the twin made it.
    pub at: String,
    /// The operation.
    pub operation: OperationName,
    /// The id of the record.
    pub customer: String,
    /// The [`MARKER`] in the metadata that was sent.
    pub marker: Option<String>,
    /// The [`email_hash`] of a record that was created.
    pub email_hash: Option<String>,
}

impl Received {
    /// The entry of a request.
    pub fn new(
        n: u64,
        request: &Request,
        path: &str,
        operation: Option<Operation>,
        fault: Option<Fault>,
        at: Timestamp,
    ) -> Self {
        let (body, key) = (request.body(), header(request, "idempotency-key"));
        Self {
            n,
            at: at.to_string(),
            method: request.method().to_string(),
            path: without_personal_data(path),
            operation: operation.map(OperationName),
            body_hash: (!body.is_empty()).then(|| hash(body)),
            idempotency_key: (!key.is_empty()).then(|| key.to_owned()),
            fault,
        }
    }
}

impl Applied {
    /// The entry of an executed command; `None` if it changed nothing.
    pub fn new(n: u64, command: &Command, reply: &Reply, at: Timestamp) -> Option<Self> {
        let (customer, fields) = match (command, reply) {
            (Command::Create(create), Reply::Written(Written::Created(created))) if !created.existing => {
                (&created.customer.id, Some(&create.fields))
            }
            (Command::Update(update), Reply::Written(Written::Changed(customer))) => {
                (&customer.id, Some(&update.fields))
            }
            (Command::Block(_) | Command::Unblock(_), Reply::Written(Written::Changed(customer))) => {
                (&customer.id, None)
            }
            (Command::Delete(id), Reply::Written(Written::Deleted)) => (id.public(), None),
            _ => return None,
        };
        let operation = command.operation();
        let email = fields.and_then(|fields| fields.email.set()).filter(|_| operation == Operation::Create);
        let metadata = fields.map_or(&Patch::Absent, |fields| &fields.metadata).set();
        let marker = metadata.and_then(|metadata| serde_json::from_str(metadata.get(MARKER)?.get()).ok());
        Some(Self {
            n,
            at: at.to_string(),
            operation: OperationName(operation),
            customer: customer.to_string(),
            marker,
            email_hash: email.map(|address: &Text| email_hash(address)),
        })
    }
}

/// The SHA-256, in hexadecimal digits, of an e-mail address in lower case.
pub fn email_hash(address: &str) -> String {
    hash(address.trim().to_lowercase().as_bytes())
}

fn hash(bytes: &[u8]) -> String {
    HEXLOWER.encode(digest(&SHA256, bytes).as_ref())
}

/// A path in which every segment that does not look like a word or an id is replaced with `*`: some vendors have e-mail
/// addresses or phone numbers in paths.
fn without_personal_data(path: &str) -> String {
    let is_plain = |segment: &str| {
        let is_number = segment.len() > 4 && segment.bytes().all(|byte| byte.is_ascii_digit());
        !is_number && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    let segments = path.split('/').map(|segment| if is_plain(segment) { Cow::Borrowed(segment) } else { "*".into() });
    segments.collect::<Vec<_>>().join("/")
}

/// A log, open for writing.
#[derive(Debug)]
pub struct Log {
    file: File,
}

impl Log {
    /// Opens a file for appending, and creates it if it does not exist.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { file: OpenOptions::new().append(true).create(true).open(path)? })
    }

    /// Adds a line.
    pub fn write(&mut self, entry: &Entry) -> io::Result<()> {
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        // One `write` for the whole line, unless the disk is full.
        self.file.write_all(&line)
    }
}

/// Reads the entries of a log. A last line without its end is left out.
pub fn read(path: &Path) -> io::Result<Vec<Entry>> {
    let text = std::fs::read_to_string(path)?;
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

/// The requests among the entries of a log.
pub fn requests(entries: &[Entry]) -> impl Iterator<Item = &Received> {
    entries.iter().filter_map(|entry| match entry {
        Entry::Request(received) => Some(received),
        Entry::Effect(_) => None,
    })
}

/// The effects among the entries of a log.
pub fn effects(entries: &[Entry]) -> impl Iterator<Item = &Applied> {
    entries.iter().filter_map(|entry| match entry {
        Entry::Effect(applied) => Some(applied),
        Entry::Request(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received() -> Received {
        Received {
            n: 12,
            at: "2026-01-02T03:04:05Z".to_owned(),
            method: "POST".to_owned(),
            path: "/v1/customers".to_owned(),
            operation: Some(OperationName(Operation::Create)),
            body_hash: None,
            idempotency_key: None,
            fault: Some(Fault::ErrorAfter),
        }
    }

    fn applied() -> Applied {
        Applied {
            n: 12,
            at: "2026-01-02T03:04:05Z".to_owned(),
            operation: OperationName(Operation::Create),
            customer: "c_1".to_owned(),
            marker: Some("op_1".to_owned()),
            email_hash: Some(email_hash("awa@example.com")),
        }
    }

    #[test]
    fn written_entries_can_be_read() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let entries = [Entry::Request(received()), Entry::Effect(applied())];
        for entry in &entries {
            // Opened again for each entry: earlier entries must stay.
            Log::open(file.path()).and_then(|mut log| log.write(entry)).expect("it is written");
        }
        assert_eq!(read(file.path()).expect("it is read"), entries);
        let line = std::fs::read_to_string(file.path()).expect("text");
        let expected = r#"{"event":"request","n":12,"at":"2026-01-02T03:04:05Z","method":"POST","path":"/v1/customers","operation":"create","body_hash":null,"idempotency_key":null,"fault":"error_after"}"#;
        assert_eq!(line.lines().next(), Some(expected));
    }

    #[test]
    fn an_incomplete_last_line_is_left_out() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        Log::open(file.path()).and_then(|mut log| log.write(&Entry::Request(received()))).expect("it is written");
        let mut torn = OpenOptions::new().append(true).open(file.path()).expect("the file");
        torn.write_all(b"{\"event\":\"req").expect("it is written");
        let entries = read(file.path()).expect("it is read");
        assert_eq!((requests(&entries).count(), effects(&entries).count()), (1, 0));
    }

    #[test]
    fn paths_show_no_personal_data() {
        for (path, shown) in [
            (
                "/v1/customers/b78de3c9-7f76-4f43-9c5d-19d9f5c7c985",
                "/v1/customers/b78de3c9-7f76-4f43-9c5d-19d9f5c7c985",
            ),
            ("/customers/awa@example.com", "/customers/*"),
            ("/customers/awa%40example.com/block", "/customers/*/block"),
            ("/customers/+221771234567", "/customers/*"),
            ("/customers/2207000001", "/customers/*"),
            ("/", "/"),
        ] {
            assert_eq!(without_personal_data(path), shown);
        }
    }

    #[test]
    fn spellings_of_an_e_mail_address_have_one_hash() {
        assert_eq!(email_hash("Awa@Example.com "), email_hash("awa@example.com"));
        assert_eq!(email_hash("a"), "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb");
    }
}
