//! The columns of an export: those of the record's view in the view's order, without `id`, which says in bytes what
//! `object_id` says in text.

use crate::model::{ChangeKind, ObjectId, State};
use crate::store::{Row, Slice, Table};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    SnapshotId,
    At,
    NotBefore,
    NotAfter,
    AccountId,
    NamespaceId,
    ObjectId,
    HasStoredData,
    FirstSeenAt,
    Since,
    LastSeenAt,
    ValidFrom,
    ValidTo,
    Change,
    OldState,
    NewState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text that identifies something.
    Id,
    Text,
    Boolean,
    /// Microseconds since 1970, UTC.
    Timestamp,
    Integer,
}

/// What stands in one cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    Text(&'a str),
    Object(ObjectId),
    Flag(Option<bool>),
    Time(Option<i64>),
    Number(i64),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidColumns {
    #[error("there is no column {asked:?}: the columns are {there}")]
    Unknown { asked: String, there: String },
    #[error("column {0} is asked for twice")]
    Twice(&'static str),
}

pub fn all(table: Table) -> &'static [Column] {
    use Column::*;
    match table {
        Table::Objects => &[
            AccountId,
            NamespaceId,
            ObjectId,
            HasStoredData,
            FirstSeenAt,
            Since,
            LastSeenAt,
        ],
        Table::Changes => &[
            SnapshotId,
            At,
            NotBefore,
            NotAfter,
            AccountId,
            NamespaceId,
            ObjectId,
            Change,
            OldState,
            NewState,
        ],
        Table::History => &[AccountId, NamespaceId, ObjectId, HasStoredData, ValidFrom, ValidTo],
    }
}

/// Those that were asked for, in the order in which they were; all of them if none was.
pub fn chosen(table: Table, asked: &[String]) -> Result<Vec<Column>, InvalidColumns> {
    let all = all(table);
    if asked.is_empty() {
        return Ok(all.to_vec());
    }
    let mut columns: Vec<Column> = Vec::with_capacity(asked.len());
    for name in asked {
        let found = all.iter().find(|column| column.name() == name);
        let column = *found.ok_or_else(|| InvalidColumns::Unknown {
            asked: name.clone(),
            there: all.iter().map(|column| column.name()).collect::<Vec<_>>().join(", "),
        })?;
        if columns.contains(&column) {
            return Err(InvalidColumns::Twice(column.name()));
        }
        columns.push(column);
    }
    Ok(columns)
}

impl Column {
    pub fn name(self) -> &'static str {
        match self {
            Self::SnapshotId => "snapshot_id",
            Self::At => "at",
            Self::NotBefore => "not_before",
            Self::NotAfter => "not_after",
            Self::AccountId => "account_id",
            Self::NamespaceId => "namespace_id",
            Self::ObjectId => "object_id",
            Self::HasStoredData => "has_stored_data",
            Self::FirstSeenAt => "first_seen_at",
            Self::Since => "since",
            Self::LastSeenAt => "last_seen_at",
            Self::ValidFrom => "valid_from",
            Self::ValidTo => "valid_to",
            Self::Change => "change",
            Self::OldState => "old_state",
            Self::NewState => "new_state",
        }
    }

    pub fn kind(self) -> Kind {
        match self {
            Self::AccountId | Self::NamespaceId | Self::ObjectId => Kind::Id,
            Self::Change | Self::OldState | Self::NewState => Kind::Text,
            Self::HasStoredData => Kind::Boolean,
            Self::SnapshotId => Kind::Integer,
            _ => Kind::Timestamp,
        }
    }

    pub fn nullable(self) -> bool {
        matches!(self, Self::HasStoredData | Self::ValidTo)
    }

    /// A column that the row's table does not have is empty.
    pub fn value<'a>(self, slice: &'a Slice, last_seen_at: i64, row: &Row) -> Value<'a> {
        match self {
            Self::AccountId => Value::Text(&slice.namespace.account_id),
            Self::NamespaceId => Value::Text(&slice.namespace.namespace_id),
            Self::ObjectId => Value::Object(row.id()),
            Self::LastSeenAt => Value::Time(Some(last_seen_at)),
            _ => self.value_of(row),
        }
    }

    fn value_of(self, row: &Row) -> Value<'static> {
        match (self, *row) {
            (Self::HasStoredData, Row::Object { data, .. } | Row::Interval { data, .. }) => {
                Value::Flag(Option::from(data))
            }
            (Self::FirstSeenAt, Row::Object { first_seen_at, .. }) => Value::Time(Some(first_seen_at)),
            (Self::Since, Row::Object { since, .. }) => Value::Time(Some(since)),
            (Self::ValidFrom, Row::Interval { valid_from, .. }) => Value::Time(Some(valid_from)),
            (Self::ValidTo, Row::Interval { valid_to, .. }) => Value::Time(valid_to),
            (Self::SnapshotId, Row::Change { snapshot_id, .. }) => Value::Number(i64::from(snapshot_id)),
            (Self::At, Row::Change { at, .. }) => Value::Time(Some(at)),
            (Self::NotBefore, Row::Change { not_before, .. }) => Value::Time(Some(not_before)),
            (Self::NotAfter, Row::Change { not_after, .. }) => Value::Time(Some(not_after)),
            (Self::Change, Row::Change { old, new, .. }) => Value::Text(ChangeKind::of(old, new).as_str()),
            (Self::OldState, Row::Change { old, .. }) => Value::Text(state_name(old)),
            (Self::NewState, Row::Change { new, .. }) => Value::Text(state_name(new)),
            _ => Value::Time(None),
        }
    }
}

impl Kind {
    /// As the manifest names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Id | Self::Text => "string",
            Self::Boolean => "boolean",
            Self::Timestamp => "timestamp",
            Self::Integer => "integer",
        }
    }
}

/// As `inventory.state_name` says it.
pub fn state_name(state: State) -> &'static str {
    match state {
        State::Absent => "absent",
        State::Unknown => "unknown",
        State::WithoutData => "without_data",
        State::WithData => "with_data",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_come_in_the_order_that_was_asked_for() {
        let asked = ["has_stored_data", "object_id"].map(str::to_owned);
        assert_eq!(
            chosen(Table::Objects, &asked),
            Ok(vec![Column::HasStoredData, Column::ObjectId])
        );
        assert_eq!(chosen(Table::History, &[]).unwrap(), all(Table::History));
    }

    #[test]
    fn a_column_of_another_table_is_unknown_and_none_comes_twice() {
        let unknown = chosen(Table::Objects, &["valid_to".to_owned()]).unwrap_err();
        assert_eq!(
            unknown.to_string(),
            "there is no column \"valid_to\": the columns are account_id, namespace_id, object_id, has_stored_data, \
             first_seen_at, since, last_seen_at"
        );
        let twice = ["at", "at"].map(str::to_owned);
        assert_eq!(chosen(Table::Changes, &twice), Err(InvalidColumns::Twice("at")));
    }
}
