//! From columns to the types of `model`. A row that does not fit was changed by someone else.

use super::StoreError;
use crate::digest::SetDigest;
use crate::model::ObjectId;

pub(super) fn id_from(bytes: &[u8]) -> Result<ObjectId, StoreError> {
    let bytes = bytes
        .try_into()
        .map_err(|_| inconsistent("an object id of another length than 32 bytes"))?;
    Ok(ObjectId::from_bytes(bytes))
}

pub(super) fn digest_from(bytes: &[u8]) -> Result<SetDigest, StoreError> {
    let bytes = bytes
        .try_into()
        .map_err(|_| inconsistent("a digest of another length than 32 bytes"))?;
    Ok(SetDigest::from_bytes(bytes))
}

pub(super) fn inconsistent(what: &str) -> StoreError {
    StoreError::Inconsistent { what: what.to_owned() }
}
