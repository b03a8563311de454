//! Tables of the commands: with lines between the rows on a terminal, and as plain columns in a pipe or a file, so that other
//! programs can take them apart.

use std::io::IsTerminal as _;

use comfy_table::{ContentArrangement, Row, Table, presets};

/// What separates plain columns. A value never has it.
const GAP: &str = "  ";

/// A table for the rows of a command.
pub(super) fn table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    table
}

/// The text of a table on stdout.
pub(super) fn shown(table: &Table) -> String {
    if std::io::stdout().is_terminal() { table.to_string() } else { plain(table) }
}

/// One line for each row, with at least two spaces between its columns, and `-` for an empty value.
fn plain(table: &Table) -> String {
    let rows: Vec<Vec<String>> = table.header().into_iter().chain(table.row_iter()).map(cells).collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or_default()).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join(GAP).trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn cells(row: &Row) -> Vec<String> {
    let content = row.cell_iter().map(comfy_table::Cell::content);
    content.map(|text| if text.is_empty() { "-".to_owned() } else { in_one_line(&text) }).collect()
}

fn in_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_columns_have_no_lines_and_keep_their_places() {
        let mut rows = table();
        rows.set_header(["id", "customer", "outcome"]);
        rows.add_row(["op_1", "", "unknown, held"]);
        rows.add_row(["op_22", "Awa  Diop\n(lomi)", "done"]);
        assert_eq!(
            plain(&rows),
            "id     customer         outcome\nop_1   -                unknown, held\nop_22  Awa Diop (lomi)  done"
        );
    }
}
