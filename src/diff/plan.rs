//! What is compared, decided before a row is read.

use std::collections::HashSet;

use super::differences::{Differences, LineFormat};
use super::error::DiffError;
use super::namespaces::{LIMIT, NamespaceInfo, NamespaceKey, Namespaces, Scope, Selects, Skipped};
use super::side::Side;
use super::tally::Tally;

/// The namespaces of both sides, and the counts that need no row.
pub struct DiffPlan {
    pub namespaces: Namespaces,
    tally: Tally,
    skipped: [Skipped; 2],
}

/// Decides how the sides are compared, and drops the namespaces that need no reading from both: those that only one
/// side covers, those that were not selected, and those whose digests are equal.
pub fn plan(sides: [&mut Side; 2], format: LineFormat, selects: Option<Selects>) -> Result<DiffPlan, DiffError> {
    let columns = [sides[0].columns(), sides[1].columns()];
    let covered = [&sides[0], &sides[1]].map(|side| {
        let namespaces = side.namespaces()?;
        Some(namespaces.iter().map(|namespace| namespace.key.clone()).collect())
    });
    let mut plan = DiffPlan {
        namespaces: Namespaces::new(columns, covered, selects),
        tally: Tally::default(),
        skipped: Default::default(),
    };
    let mut dropped = [plan.out_of_scope(0, sides[0])?, plan.out_of_scope(1, sides[1])?];
    if !format.wants_all()
        && let (Some(from), Some(to)) = (sides[0].namespaces(), sides[1].namespaces())
    {
        for namespace in equal(&from, &to) {
            if !dropped[0].contains(&namespace.key) {
                let number = plan.number(sides[0], &namespace.key)?;
                plan.tally.counts_mut(number).same += namespace.objects;
                for dropped in &mut dropped {
                    dropped.insert(namespace.key.clone());
                }
            }
        }
    }
    for (side, dropped) in sides.into_iter().zip(dropped) {
        side.drop_namespaces(&dropped);
    }
    Ok(plan)
}

impl DiffPlan {
    /// Returns the namespaces of a side that are not compared.
    fn out_of_scope(&mut self, index: usize, side: &Side) -> Result<HashSet<NamespaceKey>, DiffError> {
        let mut dropped = HashSet::new();
        for namespace in side.namespaces().unwrap_or_default() {
            let number = self.number(side, &namespace.key)?;
            if let Some(name) = namespace.name.as_deref().filter(|name| !name.is_empty()) {
                self.namespaces.set_name(number, name);
            }
            let scope = self.namespaces.scope(index, number);
            self.skipped[index].add(number, scope, namespace.objects);
            if scope != Scope::Compared {
                dropped.insert(namespace.key.clone());
            }
        }
        Ok(dropped)
    }

    fn number(&self, side: &Side, key: &NamespaceKey) -> Result<u32, DiffError> {
        self.namespaces.intern(key).ok_or_else(|| DiffError::TooManyNamespaces {
            place: side.place().to_owned(),
            limit: LIMIT,
        })
    }

    /// Adds what was counted without reading a row to the differences found in the rows.
    pub fn complete(self, mut found: Differences) -> (Namespaces, Differences) {
        for (namespace, counts) in self.tally.namespaces() {
            *found.tally.counts_mut(namespace) += *counts;
        }
        for (found, planned) in found.skipped.iter_mut().zip(self.skipped) {
            *found += planned;
        }
        (self.namespaces, found)
    }
}

/// Returns the namespaces that have the same digest on both sides.
fn equal<'a>(from: &[&'a NamespaceInfo], to: &[&'a NamespaceInfo]) -> Vec<&'a NamespaceInfo> {
    let known: HashSet<_> = to.iter().map(|namespace| (&namespace.key, &namespace.digest)).collect();
    let same = |namespace: &&&NamespaceInfo| {
        namespace.digest.is_some() && known.contains(&(&namespace.key, &namespace.digest))
    };
    from.iter().filter(same).copied().collect()
}
