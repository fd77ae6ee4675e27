//! Tables for people: columns two spaces apart, no lines, nothing cut off, so that they can be searched and copied.

use std::fmt;

use comfy_table::{ContentArrangement, presets};

/// A table that grows row by row.
#[derive(Debug)]
pub(crate) struct Table(comfy_table::Table);

impl Table {
    pub(crate) fn new(header: &[&str]) -> Self {
        let mut table = comfy_table::Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(header.iter().copied());
        Self(table)
    }

    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        let shown = |cell: String| if cell.is_empty() { "-".to_owned() } else { super::theirs(&cell).into_owned() };
        self.0.add_row(cells.map(shown));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = self.0.clone();
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        formatter.write_str(&table.trim_fmt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_an_empty_cell_shows_as_such() {
        let mut table = Table::new(&["ID", "STARTED"]);
        table.row(["3f786850e387".to_owned(), String::new()]);
        table.row(["é".to_owned(), "3 minutes ago".to_owned()]);
        assert_eq!(table.to_string(), "ID            STARTED\n3f786850e387  -\né             3 minutes ago");
    }
}
