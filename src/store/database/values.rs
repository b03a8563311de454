//! Parameters and rows, the same for both databases: texts, integers and opaque bytes.

use crate::store::error::StoreError;

/// A parameter.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) enum Value<'a> {
    Null,
    Integer(i64),
    Text(&'a str),
    Bytes(&'a [u8]),
}

impl<'a> Value<'a> {
    pub(in crate::store) fn text(text: Option<&'a str>) -> Self {
        text.map_or(Self::Null, Self::Text)
    }

    pub(in crate::store) fn bytes(bytes: Option<&'a [u8]>) -> Self {
        bytes.map_or(Self::Null, Self::Bytes)
    }

    pub(in crate::store) fn integer(integer: Option<i64>) -> Self {
        integer.map_or(Self::Null, Self::Integer)
    }
}

/// One value of a row.
#[derive(Debug, Clone)]
pub(in crate::store) enum Cell {
    Null,
    Integer(i64),
    Text(String),
    Bytes(Vec<u8>),
}

/// A row, read from its first column to its last.
#[derive(Debug)]
pub(in crate::store) struct Row(std::vec::IntoIter<Cell>);

impl Row {
    pub(in crate::store) fn new(cells: Vec<Cell>) -> Self {
        Self(cells.into_iter())
    }

    fn cell<T>(&mut self, read: impl FnOnce(Cell) -> Option<T>) -> Result<T, StoreError> {
        let damaged = || StoreError::Damaged("the database holds a row that this version cannot read".to_owned());
        self.0.next().and_then(read).ok_or_else(damaged)
    }

    pub(in crate::store) fn integer(&mut self) -> Result<i64, StoreError> {
        self.cell(|cell| if let Cell::Integer(integer) = cell { Some(integer) } else { None })
    }

    pub(in crate::store) fn maybe_integer(&mut self) -> Result<Option<i64>, StoreError> {
        self.cell(|cell| match cell {
            Cell::Null => Some(None),
            Cell::Integer(integer) => Some(Some(integer)),
            _ => None,
        })
    }

    pub(in crate::store) fn text(&mut self) -> Result<String, StoreError> {
        self.cell(|cell| if let Cell::Text(text) = cell { Some(text) } else { None })
    }

    pub(in crate::store) fn maybe_text(&mut self) -> Result<Option<String>, StoreError> {
        self.cell(|cell| match cell {
            Cell::Null => Some(None),
            Cell::Text(text) => Some(Some(text)),
            _ => None,
        })
    }

    pub(in crate::store) fn bytes(&mut self) -> Result<Vec<u8>, StoreError> {
        self.cell(|cell| if let Cell::Bytes(bytes) = cell { Some(bytes) } else { None })
    }

    pub(in crate::store) fn maybe_bytes(&mut self) -> Result<Option<Vec<u8>>, StoreError> {
        self.cell(|cell| match cell {
            Cell::Null => Some(None),
            Cell::Bytes(bytes) => Some(Some(bytes)),
            _ => None,
        })
    }

    /// A text that this version can parse. Only a damaged database, or one of a newer version, holds another.
    pub(in crate::store) fn parsed<T>(&mut self, parse: impl FnOnce(&str) -> Option<T>) -> Result<T, StoreError> {
        self.cell(|cell| if let Cell::Text(text) = cell { parse(&text) } else { None })
    }
}

/// An integer of the database as one that is never below zero. Out of range, which only a damaged database holds, it
/// is zero.
pub(in crate::store) fn unsigned<T: TryFrom<i64> + Default>(integer: i64) -> T {
    T::try_from(integer).unwrap_or_default()
}

/// The parameter of a `LIMIT`.
pub(in crate::store) fn limited(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
