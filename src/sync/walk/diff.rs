//! The difference between the record and a walk: a pure merge of two ordered streams.

use std::convert::Infallible;

use crate::merge::{Joined, join};
use crate::model::{Change, Observation, State};

/// Returns the changes that lead from `recorded` to `observed`, in ascending order of id.
///
/// Both sides must be strictly ascending and cover the same range of ids. Then
/// - an id that only `observed` has was created,
/// - an id that only `recorded` has was removed,
/// - an id that both have with different stored data changed,
/// - and every other id is unchanged.
pub(super) fn diff(
    recorded: impl IntoIterator<Item = Observation>,
    observed: impl IntoIterator<Item = Observation>,
) -> impl Iterator<Item = Change> {
    let recorded = recorded.into_iter().map(Ok::<_, Infallible>);
    let observed = observed.into_iter().map(Ok);
    join(recorded, observed, |recorded, observed| recorded.id.cmp(&observed.id)).filter_map(|Ok(joined)| {
        let (id, old, new) = match joined {
            Joined::Left(gone) => (gone.id, gone.data.into(), State::Absent),
            Joined::Right(new) => (new.id, State::Absent, new.data.into()),
            Joined::Both(recorded, observed) => (observed.id, recorded.data.into(), observed.data.into()),
        };
        (old != new).then_some(Change { id, old, new })
    })
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
        fn equals_a_map_of_states(recorded in any::<Set>(), observed in any::<Set>()) {
            let expected: Vec<_> = (0..=u8::MAX)
                .map(|id| Change {
                    id: ObjectId::from_bytes([id; 32]),
                    old: state(&recorded, id),
                    new: state(&observed, id),
                })
                .filter(|change| change.old != change.new)
                .collect();
            prop_assert_eq!(diff(rows(&recorded), rows(&observed)).collect::<Vec<_>>(), expected);
        }
    }
}
