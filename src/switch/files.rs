//! The CSV files of a switch: what the operator's API writes, and what the commands read back.
//!
//! People open these files in spreadsheets, which execute cells that begin with `=`, `+`, `-` or `@`, and which change
//! digits into numbers. So text in such a form has an apostrophe in front ([`cell`]), and so has text that begins with an
//! apostrophe. Reading a file takes it off again ([`text`]).

use std::borrow::Cow;

use super::{
    service::Decision,
    view::{DecisionKind, MapEntry, Outcome, SwitchRecord, SwitchView},
};

/// The header of `results.csv`.
const RESULTS: [&str; 12] = [
    "public_id",
    "source_id",
    "target_id",
    "home",
    "outcome",
    "code",
    "level",
    "field",
    "detail",
    "differing_fields",
    "attempts",
    "updated_at",
];

/// The header of `errors.csv` and `decisions.csv`. The last two columns are for the operator.
const DECISIONS: [&str; 9] =
    ["public_id", "source_id", "target_id", "outcome", "code", "field", "detail", "decision", "link_id"];

/// The header of `map.csv`.
const MAP: [&str; 4] = ["public_id", "source_id", "target_id", "home"];

/// The header of a mapping in Stripe's intake format.
const STRIPE: [&str; 2] = ["old_customer_id", "stripe_customer_id"];

/// The outcomes of the records that `errors.csv` has, in its order.
pub const ERRORS: &[Outcome] = &[Outcome::NeedsDecision, Outcome::Refused, Outcome::InDoubt];

/// The outcomes of the records that `decisions.csv` has.
pub const UNDECIDED: &[Outcome] = &[Outcome::NeedsDecision];

/// A text as a cell: with an apostrophe in front where a spreadsheet would execute or change it.
pub fn cell(text: &str) -> Cow<'_, str> {
    // Numbers lose digits and zeros, and some become dates.
    let is_number = text.starts_with(|first: char| first.is_ascii_digit())
        && text.bytes().all(|byte| byte.is_ascii_digit() || b"-/.:,eE+ ".contains(&byte));
    let is_changed = is_number || text.starts_with(['=', '+', '-', '@', '\'', '\t', '\r', '\n']);
    if is_changed { Cow::Owned(format!("'{text}")) } else { Cow::Borrowed(text) }
}

/// The text of a cell.
pub fn text(cell: &str) -> &str {
    cell.strip_prefix('\'').unwrap_or(cell)
}

/// Which form a map of ids has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MapFormat {
    /// All ids of each customer.
    #[default]
    Passerelle,
    /// Stripe's two columns. Only customers who are at both sides are in it.
    Stripe,
}

/// Rows of a file, as bytes that are sent or written one after the other.
#[derive(Debug)]
pub struct Rows(csv::Writer<Vec<u8>>);

impl Default for Rows {
    fn default() -> Self {
        Self(csv::WriterBuilder::new().from_writer(Vec::new()))
    }
}

impl Rows {
    /// The header of `map.csv`.
    #[must_use]
    pub fn map_header(mut self, format: MapFormat) -> Self {
        match format {
            MapFormat::Passerelle => self.row(MAP),
            MapFormat::Stripe => self.row(STRIPE),
        }
        self
    }

    /// The header of `results.csv`.
    #[must_use]
    pub fn results_header(mut self) -> Self {
        self.row(RESULTS);
        self
    }

    /// The header of `errors.csv` and `decisions.csv`.
    #[must_use]
    pub fn decisions_header(mut self) -> Self {
        self.row(DECISIONS);
        self
    }

    /// The ids of one customer.
    pub fn map(&mut self, entry: &MapEntry, format: MapFormat) {
        let [source, target] = [&entry.source_id, &entry.target_id].map(Option::as_deref);
        match (format, source, target) {
            (MapFormat::Passerelle, ..) => {
                self.row([Some(entry.public_id.as_str()), source, target, Some(&entry.home)].map(optional));
            }
            (MapFormat::Stripe, Some(source), Some(target)) => self.row([source, target].map(cell)),
            (MapFormat::Stripe, ..) => {}
        }
    }

    /// One row of `results.csv`.
    pub fn result(&mut self, record: &SwitchRecord) {
        let fields: Vec<&str> = record.differences.iter().map(|difference| difference.field.as_str()).collect();
        let (fields, attempts) = (fields.join(" "), record.attempts.to_string());
        let [public, source, target, home] = [&record.public_id, &record.source_id, &record.target_id, &record.home]
            .map(|text| optional(text.as_deref()));
        let [code, field, detail] = [&record.code, &record.field, &record.detail].map(|text| optional(text.as_deref()));
        let level = record.level.map_or("", |level| level.as_str());
        self.row([
            public,
            source,
            target,
            home,
            record.outcome.as_str().into(),
            code,
            level.into(),
            field,
            detail,
            cell(&fields),
            attempts.as_str().into(),
            record.updated_at.as_str().into(),
        ]);
    }

    /// One row of `errors.csv` or `decisions.csv`, with empty columns for the decision.
    pub fn undecided(&mut self, record: &SwitchRecord) {
        let [public, source, target] =
            [&record.public_id, &record.source_id, &record.target_id].map(|text| optional(text.as_deref()));
        let [code, field, detail] = [&record.code, &record.field, &record.detail].map(|text| optional(text.as_deref()));
        let outcome = record.outcome.as_str();
        self.row([public, source, target, outcome.into(), code, field, detail, Cow::default(), Cow::default()]);
    }

    fn row<const N: usize>(&mut self, cells: [impl AsRef<str>; N]) {
        // Writing into memory does not fail, and every row has the length of its header.
        let _ = self.0.write_record(cells.each_ref().map(AsRef::<str>::as_ref));
    }

    /// The bytes of the rows.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0.into_inner().unwrap_or_default()
    }
}

fn optional(text: Option<&str>) -> Cow<'_, str> {
    text.map_or(Cow::default(), cell)
}

/// What is wrong in a file, with its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileMistake(pub String);

impl std::fmt::Display for FileMistake {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for FileMistake {}

/// A CSV file that is read by the names of its columns, row by row.
struct Table<R> {
    reader: csv::Reader<R>,
    header: csv::StringRecord,
}

impl<R: std::io::Read> Table<R> {
    fn new(file: R) -> Result<Self, FileMistake> {
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(file);
        let mut header = reader.headers().map_err(|error| mistake(&error))?.clone();
        // Spreadsheets write a byte order mark before the first name.
        header = header.iter().map(|name| name.trim_start_matches('\u{feff}').trim()).collect();
        Ok(Self { reader, header })
    }

    fn column(&self, name: &str) -> Option<usize> {
        self.header.iter().position(|known| known == name)
    }

    fn needed(&self, name: &str) -> Result<usize, FileMistake> {
        self.column(name).ok_or_else(|| {
            let found: Vec<&str> = self.header.iter().collect();
            FileMistake(format!("the first line has no column `{name}`; it has {}", found.join(", ")))
        })
    }
}

fn mistake(error: &csv::Error) -> FileMistake {
    FileMistake(format!("it cannot be read as CSV: {error}"))
}

fn at(record: &csv::StringRecord, column: Option<usize>) -> &str {
    text(column.and_then(|column| record.get(column)).unwrap_or_default().trim())
}

/// Reads the decisions of an edited file. Only the columns `public_id`, `decision` and `link_id` are read; rows without a
/// decision are left out. All mistakes are found at once.
pub fn decisions(file: impl std::io::Read) -> Result<Vec<Decision>, Vec<FileMistake>> {
    let mut table = Table::new(file).map_err(|wrong| vec![wrong])?;
    let id = table.needed("public_id").map_err(|wrong| vec![wrong])?;
    let decision = table.needed("decision").map_err(|wrong| vec![wrong])?;
    let link = table.column("link_id");
    let (mut found, mut wrong) = (Vec::new(), Vec::new());
    for record in table.reader.records() {
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                wrong.push(mistake(&error));
                continue;
            }
        };
        let line = record.position().map_or(0, csv::Position::line);
        let (id, word, link) = (at(&record, Some(id)), at(&record, Some(decision)), at(&record, link));
        if word.is_empty() {
            continue;
        }
        match decided(id, word, link) {
            Ok(decision) => found.push(decision),
            Err(what) => wrong.push(FileMistake(format!("line {line}: {what}"))),
        }
    }
    if wrong.is_empty() { Ok(found) } else { Err(wrong) }
}

fn decided(id: &str, word: &str, link: &str) -> Result<Decision, String> {
    // `link ID` in one cell is what people write in mails.
    let (word, beside) = word.split_once(char::is_whitespace).map_or((word, ""), |(word, id)| (word, id.trim()));
    let link = if link.is_empty() { beside } else { link };
    let decision = DecisionKind::parse(&word.to_ascii_lowercase())
        .ok_or_else(|| format!("`{word}` is not a decision; write create, link or leave"))?;
    if id.is_empty() {
        return Err("there is a decision and no `public_id`".to_owned());
    }
    match (decision, link.is_empty()) {
        (DecisionKind::Link, true) => Err("`link` needs the id at the other side in `link_id`".to_owned()),
        (DecisionKind::Link, false) => {
            Ok(Decision { public_id: id.to_owned(), decision, link_id: Some(link.to_owned()) })
        }
        // What stands in `link_id` beside another decision is a left-over of an edit.
        _ => Ok(Decision { public_id: id.to_owned(), decision, link_id: None }),
    }
}

/// Reads the ids of a file: its column `public_id`, else `id`, or every line where the file has one column without a name
/// of ours.
pub fn ids(file: impl std::io::Read) -> Result<Vec<String>, FileMistake> {
    let mut table = Table::new(file)?;
    let named = table.column("public_id").or_else(|| table.column("id"));
    let (column, mut ids) = match (named, table.header.len()) {
        (Some(column), _) => (column, Vec::new()),
        (None, 1) => (0, vec![text(table.header.get(0).unwrap_or_default()).to_owned()]),
        (None, _) => return Err(table.needed("public_id").err().unwrap_or_else(|| FileMistake(String::new()))),
    };
    for record in table.reader.records() {
        let record = record.map_err(|error| mistake(&error))?;
        ids.push(at(&record, Some(column)).to_owned());
    }
    ids.retain(|id| !id.is_empty());
    Ok(ids)
}

/// The most mistakes of a file that are named.
const MISTAKES: usize = 20;

/// The ids of the customers that a file names: CSV with a column `id`, or a JSON object a line. `take` is given one id after
/// the other, and says whether it wants more. Nothing else of the file is read (R24). Mistakes are named with their lines.
pub fn listed(
    file: impl std::io::BufRead,
    is_csv: bool,
    mut take: impl FnMut(&str) -> bool,
) -> Result<(), Vec<FileMistake>> {
    let mut wrong = Vec::new();
    let mut found = |line: u64, id: Result<&str, &str>| match id {
        Ok(id) => take(id),
        Err(what) => {
            wrong.push(FileMistake(format!("line {line}: {what}")));
            wrong.len() < MISTAKES
        }
    };
    if is_csv {
        let mut table = Table::new(file).map_err(|wrong| vec![wrong])?;
        let column = table.needed("id").map_err(|wrong| vec![wrong])?;
        for record in table.reader.records() {
            let record = record.map_err(|error| vec![mistake(&error)])?;
            let line = record.position().map_or(0, csv::Position::line);
            let id = at(&record, Some(column));
            if !found(line, if id.is_empty() { Err("it has no `id`") } else { Ok(id) }) {
                break;
            }
        }
    } else {
        for (text, line) in file.lines().zip(1..) {
            let text = text.map_err(|error| vec![FileMistake(format!("line {line}: it cannot be read: {error}"))])?;
            let Some(id) = listed_in(text.as_bytes()) else { continue };
            if !found(line, id.as_deref().map_err(|what| *what)) {
                break;
            }
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong) }
}

/// The id of the customer in a line of JSON. `None`: the line is empty.
pub fn listed_in(line: &[u8]) -> Option<Result<String, &'static str>> {
    if line.trim_ascii().is_empty() {
        return None;
    }
    Some(match serde_json::from_slice::<serde_json::Value>(line) {
        Ok(serde_json::Value::Object(customer)) => match customer.get("id").and_then(serde_json::Value::as_str) {
            Some(id) if id.contains('\0') => Err("its `id` contains U+0000, which not every database can store"),
            Some(id) if !id.is_empty() => Ok(id.to_owned()),
            _ => Err("it has no `id` that is a text"),
        },
        Ok(_) => Err("it is not a JSON object"),
        Err(_) => Err("it is not JSON"),
    })
}

/// The name of a file of a switch, for the header of its download.
pub fn name(switch: &SwitchView, file: &str) -> String {
    let safe = |text: &str| text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect::<String>();
    format!("{}-{}-to-{}-{file}", safe(&switch.merchant), safe(&switch.from), safe(&switch.to))
}
