//! What differs between the record and a walk: a pure merge of two ordered streams.

use std::cmp::Ordering;
use std::iter::Peekable;

use crate::model::{Change, Observation, State};

/// The changes that lead from `stored` to `observed`, in ascending order of id.
///
/// Both sides must be strictly ascending and cover the same range of ids; then
/// - an id that only `observed` has was created,
/// - an id that only `stored` has was removed,
/// - an id that both have with different stored data changed,
/// - and nothing else is said.
pub fn compare(
    stored: impl IntoIterator<Item = Observation>,
    observed: impl IntoIterator<Item = Observation>,
) -> impl Iterator<Item = Change> {
    Merge {
        stored: stored.into_iter().peekable(),
        observed: observed.into_iter().peekable(),
    }
}

struct Merge<S: Iterator, O: Iterator> {
    stored: Peekable<S>,
    observed: Peekable<O>,
}

impl<S, O> Iterator for Merge<S, O>
where
    S: Iterator<Item = Observation>,
    O: Iterator<Item = Observation>,
{
    type Item = Change;

    fn next(&mut self) -> Option<Change> {
        loop {
            let order = match (self.stored.peek(), self.observed.peek()) {
                (None, None) => return None,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(stored), Some(observed)) => stored.id.cmp(&observed.id),
            };
            match order {
                Ordering::Less => {
                    let gone = self.stored.next()?;
                    return Some(Change {
                        id: gone.id,
                        old: gone.data.into(),
                        new: State::Absent,
                    });
                }
                Ordering::Greater => {
                    let new = self.observed.next()?;
                    return Some(Change {
                        id: new.id,
                        old: State::Absent,
                        new: new.data.into(),
                    });
                }
                Ordering::Equal => {
                    let (stored, observed) = (self.stored.next()?, self.observed.next()?);
                    if stored.data != observed.data {
                        return Some(Change {
                            id: observed.id,
                            old: stored.data.into(),
                            new: observed.data.into(),
                        });
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::model::{ObjectId, StoredData};

    type Set = BTreeMap<u8, Option<bool>>;

    fn rows(set: &Set) -> Vec<Observation> {
        set.iter()
            .map(|(id, flag)| Observation {
                id: ObjectId::from_bytes([*id; 32]),
                data: (*flag).into(),
            })
            .collect()
    }

    fn state(set: &Set, id: u8) -> State {
        set.get(&id)
            .map_or(State::Absent, |flag| StoredData::from(*flag).into())
    }

    proptest! {
        #[test]
        fn equals_a_map_of_states(stored in any::<Set>(), observed in any::<Set>()) {
            let expected: Vec<_> = (0..=u8::MAX)
                .map(|id| Change {
                    id: ObjectId::from_bytes([id; 32]),
                    old: state(&stored, id),
                    new: state(&observed, id),
                })
                .filter(|change| change.old != change.new)
                .collect();
            prop_assert_eq!(compare(rows(&stored), rows(&observed)).collect::<Vec<_>>(), expected);
        }
    }
}
