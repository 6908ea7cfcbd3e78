//! A digest of a set of objects: the sum, modulo 2^256, of one hash for each (id, stored data). It does not depend on
//! order and is updated by adding and subtracting, so the record, its changes and a walk can be compared without
//! reading rows. Version 1 hashes with SHA-256.

use sha2::{Digest, Sha256};

use crate::model::{Change, ObjectId, Observation, State};

/// Stored beside each digest; digests of different versions are not comparable.
pub const VERSION: i16 = 1;

/// The digest of a set; the default is the empty set's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SetDigest([u64; 4]); // little-endian limbs

impl SetDigest {
    /// The digest of one object; that of an absent one is the empty set's.
    pub fn of(id: &ObjectId, state: State) -> Self {
        match state {
            State::Absent => Self::default(),
            state => element(id, state),
        }
    }

    pub fn add(&mut self, observation: &Observation) {
        *self = self.plus(element(&observation.id, State::from(observation.data)));
    }

    /// Replaces the object's old state by the new one.
    pub fn apply(&mut self, change: &Change) {
        let (old, new) = (Self::of(&change.id, change.old), Self::of(&change.id, change.new));
        *self = self.minus(old).plus(new);
    }

    pub fn plus(self, other: Self) -> Self {
        let mut carry = false;
        Self(std::array::from_fn(|i| {
            let (sum, over) = self.0[i].overflowing_add(other.0[i]);
            let (sum, over_by_carry) = sum.overflowing_add(u64::from(carry));
            carry = over || over_by_carry;
            sum
        }))
    }

    pub fn minus(self, other: Self) -> Self {
        // Two's complement: -x = !x + 1.
        self.plus(Self(other.0.map(|limb| !limb))).plus(Self([1, 0, 0, 0]))
    }

    pub fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for (chunk, limb) in bytes.as_chunks_mut().0.iter_mut().zip(self.0) {
            *chunk = limb.to_le_bytes();
        }
        bytes
    }

    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(std::array::from_fn(|i| {
            let mut limb = [0; 8];
            limb.copy_from_slice(&bytes[i * 8..i * 8 + 8]);
            u64::from_le_bytes(limb)
        }))
    }
}

fn element(id: &ObjectId, state: State) -> SetDigest {
    let mut hash = Sha256::new();
    hash.update(b"durable-inventory"); // with the rest, still one block of SHA-256
    hash.update([VERSION as u8, state as u8]);
    hash.update(id.as_bytes());
    SetDigest::from_bytes(hash.finalize().into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::StoredData;

    fn observation() -> impl Strategy<Value = Observation> {
        (any::<[u8; 32]>(), any::<Option<bool>>()).prop_map(|(id, flag)| Observation {
            id: ObjectId::from_bytes(id),
            data: StoredData::from(flag),
        })
    }

    fn digest_of<'a>(set: impl IntoIterator<Item = &'a Observation>) -> SetDigest {
        let mut digest = SetDigest::default();
        set.into_iter().for_each(|o| digest.add(o));
        digest
    }

    proptest! {
        #[test]
        fn order_does_not_matter_and_changes_lead_from_one_set_to_the_other(
            set in prop::collection::vec(observation(), 0..20),
            flag in any::<Option<bool>>(),
        ) {
            let digest = digest_of(&set);
            prop_assert_eq!(digest, digest_of(set.iter().rev()));
            prop_assert_eq!(digest, SetDigest::from_bytes(digest.to_bytes()));

            let Some(first) = set.first() else { return Ok(()) };
            let new = Observation { id: first.id, data: flag.into() };
            let mut changed = digest;
            changed.apply(&Change { id: first.id, old: first.data.into(), new: new.data.into() });
            prop_assert_eq!(changed, digest_of(set.iter().skip(1).chain([&new])));
            changed.apply(&Change { id: first.id, old: new.data.into(), new: State::Absent });
            prop_assert_eq!(changed, digest_of(&set[1..]));
            prop_assert_ne!(changed, digest);
        }
    }

    #[test]
    fn version_1_never_changes() {
        // Exports and other hosts keep these digests: a different hash needs a new version.
        let one = Observation {
            id: ObjectId::from_bytes([7; 32]),
            data: StoredData::With,
        };
        assert_eq!(
            hex::encode(digest_of([&one]).to_bytes()),
            hex::encode(Sha256::digest(
                [b"durable-inventory\x01\x03".as_slice(), &[7; 32]].concat()
            ))
        );
    }
}
