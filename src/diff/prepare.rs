//! Before a row is read: what is compared with what, and what need not be.

use std::collections::HashSet;

use super::error::DiffError;
use super::output::Listing;
use super::owners::{Fate, LIMIT, Owner, Owners, Scope, Selects};
use super::run::Found;
use super::side::{Segment, Side};
use crate::export::read::Columns;

/// What is known without a look at the rows.
pub struct Prepared {
    pub owners: Owners,
    known: Found,
}

/// Settles how the sides are compared, and leaves out of both what needs no reading: namespaces of which only one side
/// speaks, those that were not asked for, and those whose digests say that they are equal.
pub fn prepare(sides: [&mut Side; 2], listing: Listing, selects: Option<Selects>) -> Result<Prepared, DiffError> {
    // A side without a row lacks no column.
    let all = Columns {
        account_id: true,
        namespace_id: true,
        object_id: true,
        has_stored_data: true,
        no_objects: None,
    };
    let columns = [&sides[0], &sides[1]].map(|side| side.columns().unwrap_or(all));
    let covered = [sides[0].covered(), sides[1].covered()];
    let mut prepared = Prepared {
        owners: Owners::new(columns, Scope { covered, selects }),
        known: Found::default(),
    };
    let mut left_out = [prepared.choose(0, sides[0])?, prepared.choose(1, sides[1])?];
    if !listing.wants_all()
        && let (Some(from), Some(to)) = (sides[0].segments(), sides[1].segments())
    {
        for segment in equal(&from, &to) {
            if !left_out[0].contains(&segment.owner) {
                let number = prepared.number(sides[0], &segment.owner)?;
                prepared.known.tally.of(number).same += segment.objects;
                for left_out in &mut left_out {
                    left_out.insert(segment.owner.clone());
                }
            }
        }
    }
    for (side, left_out) in sides.into_iter().zip(left_out) {
        side.leave_out(&left_out);
    }
    Ok(prepared)
}

impl Prepared {
    /// The namespaces of a side that are not compared.
    fn choose(&mut self, index: usize, side: &Side) -> Result<HashSet<Owner>, DiffError> {
        let mut left_out = HashSet::new();
        for segment in side.segments().unwrap_or_default() {
            let number = self.number(side, &segment.owner)?;
            if let Some(name) = segment.name.as_deref().filter(|name| !name.is_empty()) {
                self.owners.name(number, name);
            }
            match self.owners.fate(index, number) {
                Fate::Compared => continue,
                fate => self.known.skipped[index].add(number, fate, segment.objects),
            }
            left_out.insert(segment.owner.clone());
        }
        Ok(left_out)
    }

    fn number(&self, side: &Side, owner: &Owner) -> Result<u32, DiffError> {
        self.owners.number(owner).ok_or_else(|| DiffError::TooManyNamespaces {
            place: side.place().to_owned(),
            limit: LIMIT,
        })
    }

    /// What was found in the rows, and what was known before.
    pub fn complete(self, mut found: Found) -> (Owners, Found) {
        for (owner, counts) in self.known.tally.owners() {
            *found.tally.of(owner) += *counts;
        }
        for (found, known) in found.skipped.iter_mut().zip(self.known.skipped) {
            for (fate, owners) in [(Fate::NotCovered, known.not_covered), (Fate::Unknown, known.unknown)] {
                for (owner, objects) in owners {
                    found.add(owner, fate, objects);
                }
            }
            found.left += known.left;
        }
        (self.owners, found)
    }
}

/// Namespaces that have the same digest on both sides.
fn equal<'a>(from: &[&'a Segment], to: &[&'a Segment]) -> Vec<&'a Segment> {
    let known: HashSet<_> = to.iter().map(|segment| (&segment.owner, &segment.digest)).collect();
    let same = |segment: &&&Segment| segment.digest.is_some() && known.contains(&(&segment.owner, &segment.digest));
    from.iter().filter(same).copied().collect()
}
