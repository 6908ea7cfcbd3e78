//! The differences as counts and as lines: text for people, CSV, JSON Lines, or rclone's symbols.

use std::io::{self, BufWriter, Seek, Write};

use tempfile::SpooledTempFile;

use super::entry::{Comparison, Pair};
use super::error::DiffError;
use super::namespaces::{NamespaceKey, Namespaces, Skipped};
use super::tally::Tally;
use crate::documents::{DiffLine, Version};
use crate::export::columns::state_name;
use crate::export::csv_injection::guarded;
use crate::model::{ChangeKind, ObjectId};
use crate::text::shown;

/// Bytes of lines kept in memory; more than these go to a temporary file.
const IN_MEMORY: usize = 4 * 1024 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LineFormat {
    /// No lines: only the counts are needed.
    Nothing,
    #[default]
    Text,
    Csv,
    Jsonl,
    /// One line per object, including unchanged ones.
    Combined,
}

impl LineFormat {
    /// Whether objects that are the same on both sides have to be read.
    pub fn wants_all(self) -> bool {
        self == Self::Combined
    }
}

/// The result of a comparison.
pub struct Differences {
    /// The lines for stdout, from the start.
    pub lines: SpooledTempFile,
    pub tally: Tally,
    /// The rows of each side that were not compared.
    pub skipped: [Skipped; 2],
}

/// Counts differences and writes their lines to a spool.
pub(super) struct DifferencesBuilder<'a> {
    format: LineFormat,
    namespaces: &'a Namespaces,
    lines: BufWriter<SpooledTempFile>,
    tally: Tally,
    /// The previous line's namespace.
    last: Option<(u32, NamespaceText)>,
}

/// What lines contain about their namespace.
struct NamespaceText {
    label: String,
    cells: Vec<u8>,
    key: NamespaceKey,
}

impl<'a> DifferencesBuilder<'a> {
    pub fn new(format: LineFormat, namespaces: &'a Namespaces) -> Result<Self, DiffError> {
        let mut lines = BufWriter::with_capacity(64 * 1024, SpooledTempFile::new(IN_MEMORY));
        if format == LineFormat::Csv {
            lines
                .write_all(b"account_id,namespace_id,object_id,change,old_state,new_state\n")
                .map_err(in_spool)?;
        }
        Ok(Self {
            format,
            namespaces,
            lines,
            tally: Tally::default(),
            last: None,
        })
    }

    pub fn add(&mut self, pair: &Pair) -> Result<(), DiffError> {
        let comparison = pair.compare();
        self.tally.add(pair.namespace, comparison);
        let written = match (self.format, comparison) {
            (LineFormat::Combined, _) => self.write_symbol(&pair.id, comparison),
            (LineFormat::Nothing, _) | (_, Comparison::Same | Comparison::NotComparable) => Ok(()),
            (_, Comparison::Changed(kind)) => self.write_change(pair, kind.as_str()),
        };
        written.map_err(in_spool)
    }

    pub fn finish(self) -> Result<Differences, DiffError> {
        let lines = self.lines.into_inner();
        let mut lines = lines.map_err(|error| in_spool(error.into_error()))?;
        lines.rewind().map_err(in_spool)?;
        Ok(Differences {
            lines,
            tally: self.tally,
            skipped: Default::default(),
        })
    }

    fn write_symbol(&mut self, id: &ObjectId, comparison: Comparison) -> io::Result<()> {
        let symbol = match comparison {
            Comparison::Changed(ChangeKind::Created) => b'+',
            Comparison::Changed(ChangeKind::Removed) => b'-',
            Comparison::Changed(_) => b'*',
            Comparison::Same => b'=',
            Comparison::NotComparable => b'!',
        };
        let mut line = [b'\n'; 67];
        line[..2].copy_from_slice(&[symbol, b' ']);
        line[2..66].copy_from_slice(&id.to_hex());
        self.lines.write_all(&line)
    }

    fn write_change(&mut self, pair: &Pair, change: &str) -> io::Result<()> {
        let namespace = match self.last.take() {
            Some((number, text)) if number == pair.namespace => text,
            _ => self.namespace_text(pair.namespace)?,
        };
        let (_, namespace) = self.last.insert((pair.namespace, namespace));
        let id = pair.id.to_hex();
        let id = std::str::from_utf8(&id).unwrap_or_default();
        let (old, new) = (pair.old.map(state_name), pair.new.map(state_name));
        match self.format {
            LineFormat::Csv => {
                self.lines.write_all(&namespace.cells)?;
                let (old, new) = (old.unwrap_or_default(), new.unwrap_or_default());
                writeln!(self.lines, "{id},{change},{old},{new}")
            }
            LineFormat::Jsonl => {
                let line = DiffLine {
                    version: Version,
                    account_id: namespace.key.account_id.as_deref(),
                    namespace_id: namespace.key.namespace_id.as_deref(),
                    object_id: id,
                    change,
                    old_state: old,
                    new_state: new,
                };
                serde_json::to_writer(&mut self.lines, &line)?;
                self.lines.write_all(b"\n")
            }
            _ => {
                let states = format!("{} -> {}", old.unwrap_or("listed"), new.unwrap_or("listed"));
                let line = format!("{change:<12}  {id}  {states:<25}  {}", namespace.label);
                writeln!(self.lines, "{}", line.trim_end())
            }
        }
    }

    fn namespace_text(&self, number: u32) -> io::Result<NamespaceText> {
        let key = self.namespaces.key(number);
        let ids = [&key.account_id, &key.namespace_id].map(|id| guarded(id.as_deref().unwrap_or_default()));
        let mut cells = csv::Writer::from_writer(Vec::new());
        cells.write_record([&*ids[0], &*ids[1], ""])?;
        let mut cells = cells.into_inner().map_err(|error| error.into_error())?;
        cells.pop(); // the line feed: more cells follow
        Ok(NamespaceText {
            label: self.namespaces.label(number).as_deref().map(shown).unwrap_or_default(),
            cells,
            key,
        })
    }
}

/// Names the spool's folder in an error.
fn in_spool(error: io::Error) -> DiffError {
    let folder = std::env::temp_dir();
    DiffError::Temporary(io::Error::new(error.kind(), format!("{}: {error}", folder.display())))
}
