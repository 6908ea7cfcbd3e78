//! Tables as text. On a terminal they fit its width: columns give way in an order that each table names, and names are
//! shortened in the middle. Elsewhere they are as wide as they need to be.

pub use durable_inventory::text::number;

use super::look::{Look, Tint};
use super::shorten::{is_whole, shortened, width};

/// How a column is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnKind {
    Left,
    Right,
    /// To the left, and shortened if there is not enough room.
    Name,
    /// To the left, in the colour of its first word.
    Status,
}

/// A heading, and how its column is shown.
pub type Heading = (&'static str, ColumnKind);

/// Columns are this far apart.
const GAP: usize = 2;

/// Below this width of a name, another column gives way instead.
const NAME_WIDTH: usize = 20;

/// Renders columns that are two spaces apart, without lines, so that mail and `cut` can take them. The columns in
/// `give_way` are left out on a terminal that is too narrow, the least important one first.
pub fn table(columns: &[Heading], give_way: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    fitted(columns, give_way, rows.collect(), &Look::stdout())
}

fn fitted(columns: &[Heading], give_way: &[&str], rows: Vec<Vec<String>>, look: &Look) -> String {
    let mut columns: Vec<Column> = columns
        .iter()
        .enumerate()
        .map(|(at, (heading, kind))| Column::new(heading, *kind, rows.iter().map(|row| row[at].as_str())))
        .collect();
    if let Some(to) = look.width {
        fit(&mut columns, give_way, to, look.ellipsis());
    }
    let heading = columns.iter().map(|column| (column.heading, Some(Tint::Bold)));
    let mut text = line(&columns, heading, look);
    for at in 0..rows.len() {
        let cells = columns.iter().map(|column| {
            let cell = column.cells[at].as_str();
            (cell, column.tint(cell))
        });
        text.push_str(&line(&columns, cells, look));
    }
    text
}

struct Column {
    heading: &'static str,
    kind: ColumnKind,
    cells: Vec<String>,
    width: usize,
}

impl Column {
    fn new<'a>(heading: &'static str, kind: ColumnKind, cells: impl Iterator<Item = &'a str>) -> Self {
        let mut column = Self {
            heading,
            kind,
            cells: cells.map(str::to_owned).collect(),
            width: 0,
        };
        column.width = column.least(usize::MAX);
        column
    }

    fn is_empty(&self) -> bool {
        self.cells.iter().all(String::is_empty)
    }

    /// The width of the column if names are shortened to `name`.
    fn least(&self, name: usize) -> usize {
        let least = |cell: &String| match self.kind == ColumnKind::Name && !is_whole(cell) {
            true => width(cell).min(name),
            false => width(cell),
        };
        self.cells.iter().map(least).max().unwrap_or(0).max(width(self.heading))
    }

    fn tint(&self, cell: &str) -> Option<Tint> {
        match self.kind {
            ColumnKind::Status => Tint::of_status(cell.split(' ').next().unwrap_or_default()),
            _ => None,
        }
    }
}

/// The width of these columns if names are shortened to `name`.
fn total<'a>(columns: impl Iterator<Item = &'a Column>, name: usize) -> usize {
    let widths: Vec<usize> = columns.map(|column| column.least(name)).collect();
    widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1)
}

/// Keeps of the columns that may give way those that fit beside the others and names of [`NAME_WIDTH`], the last one in
/// `give_way` first. Then shortens the names to what is left.
fn fit(columns: &mut Vec<Column>, give_way: &[&str], to: usize, ellipsis: &str) {
    if total(columns.iter(), usize::MAX) <= to {
        return;
    }
    // Nothing is lost with an empty column.
    columns.retain(|column| !(column.is_empty() && give_way.contains(&column.heading)));
    let mut gone = give_way.to_vec();
    for column in give_way.iter().rev() {
        gone.retain(|heading| heading != column);
        let left = columns.iter().filter(|column| !gone.contains(&column.heading));
        if total(left, NAME_WIDTH) > to {
            gone.push(column);
        }
    }
    columns.retain(|column| !gone.contains(&column.heading));
    let total = |name| total(columns.iter(), name);
    let longest = columns.iter().map(|column| column.width).max().unwrap_or(0);
    let name = (1..=longest).rev().find(|name| total(*name) <= to).unwrap_or(1);
    let mut spare = to.saturating_sub(total(name));
    for column in columns {
        let whole = column.width;
        column.width = column.least(name);
        // What the even share leaves over, a column at most for each.
        if column.width < whole && spare > 0 {
            column.width += 1;
            spare -= 1;
        }
        if column.width < whole {
            column.cells = shortened(&column.cells, column.width, ellipsis);
        }
    }
}

fn line<'a>(columns: &[Column], cells: impl Iterator<Item = (&'a str, Option<Tint>)>, look: &Look) -> String {
    let mut line = String::new();
    for (column, (cell, tint)) in columns.iter().zip(cells) {
        let padding = " ".repeat(column.width.saturating_sub(width(cell)));
        let shown = look.tinted(cell, tint);
        match column.kind {
            ColumnKind::Right => line.extend([padding, shown]),
            _ => line.extend([shown, padding]),
        }
        line.push_str(&" ".repeat(GAP));
    }
    line.truncate(line.trim_end().len());
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::ColumnKind::{Left, Name, Right, Status};
    use super::*;

    const PIPE: Look = Look {
        width: None,
        colours: false,
        unicode: true,
    };
    const COLUMNS: [Heading; 5] = [
        ("namespace", Name),
        ("objects", Right),
        ("recorded at", Left),
        ("outcome", Status),
        ("id", Left),
    ];

    fn on(width: usize, rows: &[[&str; 5]]) -> String {
        let rows = rows.iter().map(|row| row.map(str::to_owned).to_vec());
        let look = Look {
            width: Some(width),
            ..PIPE
        };
        fitted(&COLUMNS, &["recorded at", "objects"], rows.collect(), &look)
    }

    #[test]
    fn in_a_pipe_a_table_is_as_wide_as_it_needs_to_be() {
        assert_eq!(
            [0, 999, 1_000, 1_234_567].map(number),
            ["0", "999", "1,000", "1,234,567"]
        );
        let columns = [("name", Name), ("n", Right)];
        let rows = [["a", "1"], ["long one", "1,000"]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(
            fitted(&columns, &["n"], rows.to_vec(), &PIPE),
            "name          n\na             1\nlong one  1,000\n"
        );
    }

    #[test]
    fn columns_give_way_in_their_order_and_then_names_are_shortened() {
        let name = "collab-editor-production_DocumentRoomDurableObject";
        let rows = [
            ["chat_Room", "12", "2026-11-27", "complete", "7"],
            [name, "3", "", "held", "8"],
        ];
        let width = |text: &str| text.lines().map(super::width).max();
        let whole = on(200, &rows);
        assert_eq!(
            whole,
            on(width(&whole).unwrap(), &rows),
            "it is not cut if it just fits"
        );
        assert_eq!(
            on(56, &rows),
            "namespace             objects  recorded at  outcome   id\n\
             chat_Room                  12  2026-11-27   complete  7\n\
             collab-edi…bleObject        3               held      8\n"
        );
        assert_eq!(
            on(40, &rows),
            "namespace                   outcome   id\n\
             chat_Room                   complete  7\n\
             collab-editor…urableObject  held      8\n"
        );
    }

    #[test]
    fn colours_do_not_move_columns() {
        let rows = vec![["a", "1", "", "failed", "7"].map(str::to_owned).to_vec()];
        let look = Look { colours: true, ..PIPE };
        let text = fitted(&COLUMNS, &[], rows.clone(), &look);
        assert!(text.contains("\u{1b}[31mfailed\u{1b}[0m   7"), "{text}");
        assert!(text.starts_with("\u{1b}[1mnamespace\u{1b}[0m"), "{text}");
        let plain = fitted(&COLUMNS, &[], rows, &PIPE);
        assert_eq!(
            text.replace("\u{1b}[31m", "")
                .replace("\u{1b}[1m", "")
                .replace("\u{1b}[0m", ""),
            plain
        );
    }

    proptest! {
        #[test]
        fn a_table_fits_and_keeps_what_matters(
            rows in prop::collection::vec(
                ("[a-z_-]{1,60}|[0-9a-f]{32}|[äé漢]{1,30}", 0..u64::MAX, "|2026-11-27 00:00:00Z", "complete|held"), 1..8,
            ),
            to in 60..220usize,
        ) {
            let id = "0123456789abcdef0123456789abcdef";
            let rows: Vec<Vec<String>> = rows
                .into_iter()
                .map(|(name, objects, at, status)| vec![name, number(objects), at, status, id[..9].to_owned()])
                .collect();
            let look = Look { width: Some(to), ..PIPE };
            let text = fitted(&COLUMNS, &["recorded at", "objects"], rows.clone(), &look);
            prop_assert_eq!(text.lines().count(), rows.len() + 1);
            for (row, line) in rows.iter().zip(text.lines().skip(1)) {
                prop_assert!(width(line) <= to, "{}", text);
                let name = line.split("  ").next().unwrap_or_default();
                prop_assert!(!name.is_empty() && name.chars().next() == row[0].chars().next(), "{}", text);
                prop_assert!(!is_whole(&row[0]) || name == row[0], "an id is whole: {}", text);
                prop_assert!(line.ends_with(&row[4]), "{}", text);
            }
        }
    }
}
