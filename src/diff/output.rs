//! What was found, as text for people, CSV, JSON Lines, or rclone's symbols.

use std::io::{self, Write};

use serde::Serialize;

use super::owners::{Owner, Owners};
use super::{Pair, Verdict};
use crate::export::columns::state_name;
use crate::export::csv_injection::guarded;
use crate::model::ChangeKind;
use crate::text::shown;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Listing {
    /// Only counts are wanted.
    Nothing,
    #[default]
    Text,
    Csv,
    Jsonl,
    /// One line an object, the unchanged ones too.
    Combined,
}

impl Listing {
    /// Whether objects that are the same on both sides have to be read.
    pub fn wants_all(self) -> bool {
        self == Self::Combined
    }
}

pub struct Output<'a, W> {
    listing: Listing,
    owners: &'a Owners,
    to: W,
    /// The owner of the line before, and what the lines say of it.
    owner: Option<(u32, Said)>,
}

#[derive(Default)]
struct Said {
    label: String,
    cells: Vec<u8>,
    owner: Owner,
}

#[derive(Serialize)]
struct Line<'a> {
    account_id: Option<&'a str>,
    namespace_id: Option<&'a str>,
    object_id: &'a str,
    change: &'a str,
    old_state: Option<&'a str>,
    new_state: Option<&'a str>,
}

impl<'a, W: Write> Output<'a, W> {
    pub fn new(listing: Listing, owners: &'a Owners, mut to: W) -> io::Result<Self> {
        if listing == Listing::Csv {
            to.write_all(b"account_id,namespace_id,object_id,change,old_state,new_state\r\n")?;
        }
        Ok(Self {
            listing,
            owners,
            to,
            owner: None,
        })
    }

    pub fn write(&mut self, pair: &Pair, verdict: Verdict) -> io::Result<()> {
        if self.listing == Listing::Combined {
            let symbol = match verdict {
                Verdict::Created => b'+',
                Verdict::Removed => b'-',
                Verdict::Changed => b'*',
                Verdict::Same => b'=',
                Verdict::NotComparable => b'!',
            };
            let mut line = [b'\n'; 67];
            line[..2].copy_from_slice(&[symbol, b' ']);
            line[2..66].copy_from_slice(&pair.id.to_hex());
            return self.to.write_all(&line);
        }
        if matches!(verdict, Verdict::Same | Verdict::NotComparable) || self.listing == Listing::Nothing {
            return Ok(());
        }
        self.remember(pair.owner)?;
        let id = pair.id.to_hex();
        let id = std::str::from_utf8(&id).unwrap_or_default();
        let change = change_of(pair, verdict);
        let (old, new) = (pair.old.map(state_name), pair.new.map(state_name));
        let Some((_, said)) = &self.owner else { return Ok(()) };
        match self.listing {
            Listing::Csv => {
                self.to.write_all(&said.cells)?;
                let (old, new) = (old.unwrap_or_default(), new.unwrap_or_default());
                write!(self.to, "{id},{change},{old},{new}\r\n")
            }
            Listing::Jsonl => {
                let line = Line {
                    account_id: said.owner.account_id.as_deref(),
                    namespace_id: said.owner.namespace_id.as_deref(),
                    object_id: id,
                    change,
                    old_state: old,
                    new_state: new,
                };
                serde_json::to_writer(&mut self.to, &line)?;
                self.to.write_all(b"\n")
            }
            _ => {
                let states = format!("{} -> {}", old.unwrap_or("listed"), new.unwrap_or("listed"));
                let line = format!("{change:<12}  {id}  {states:<25}  {}", said.label);
                writeln!(self.to, "{}", line.trim_end())
            }
        }
    }

    fn remember(&mut self, owner: u32) -> io::Result<()> {
        if self.owner.as_ref().is_some_and(|(there, _)| *there == owner) {
            return Ok(());
        }
        let said = self.owners.owner(owner);
        let [account, namespace] =
            [&said.account_id, &said.namespace_id].map(|text| guarded(text.as_deref().unwrap_or_default()));
        let mut cells = csv::Writer::from_writer(Vec::new());
        cells.write_record([&*account, &*namespace, ""])?;
        let mut cells = cells.into_inner().map_err(|error| error.into_error())?;
        cells.pop(); // the line end: more cells follow
        self.owner = Some((
            owner,
            Said {
                label: self.owners.label(owner).as_deref().map(shown).unwrap_or_default(),
                cells,
                owner: said,
            },
        ));
        Ok(())
    }
}

fn change_of(pair: &Pair, verdict: Verdict) -> &'static str {
    let kind = match (verdict, pair.old, pair.new) {
        (Verdict::Created, ..) => ChangeKind::Created,
        (Verdict::Removed, ..) => ChangeKind::Removed,
        (_, Some(old), Some(new)) => ChangeKind::of(old, new),
        _ => return "",
    };
    kind.as_str()
}
