//! Tables as text.

use comfy_table::{CellAlignment, Table, presets};

pub use durable_inventory::text::number;

/// A heading, and the alignment of its column.
pub type Heading = (&'static str, CellAlignment);

/// Renders columns that are two spaces apart, without lines, so that mail and `cut` can take them.
pub fn table(columns: &[Heading], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_header(columns.iter().map(|(heading, _)| *heading));
    for row in rows {
        table.add_row(row);
    }
    for (column, (_, alignment)) in table.column_iter_mut().zip(columns) {
        column.set_cell_alignment(*alignment);
        column.set_padding((0, 2));
    }
    table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_tables() {
        assert_eq!(
            [0, 999, 1_000, 1_234_567].map(number),
            ["0", "999", "1,000", "1,234,567"]
        );
        let columns = [("name", CellAlignment::Left), ("n", CellAlignment::Right)];
        let rows = [
            vec!["a".to_owned(), "1".to_owned()],
            vec!["long one".to_owned(), "1,000".to_owned()],
        ];
        assert_eq!(
            table(&columns, rows.into_iter()),
            "name          n\na             1\nlong one  1,000\n"
        );
    }
}
