//! Conditions on the payloads of events in query parameters (`where`, `by`), and the limits that keep
//! them from reading the log from end to end.

use analytics_core::metadata::{Condition, MetadataPath};
use analytics_db::tables::metadata_indexes::MetadataIndex;
use chrono::{DateTime, Utc};

use crate::problem::Problem;
use crate::query::Query;
use crate::range::check_days;

/// The most conditions in one request.
const MOST_CONDITIONS: usize = 5;
/// The longest range, in days, of which all events are read.
const UNINDEXED_DAYS: i64 = 31;
/// The longest range, in days, if an index finds the events.
const INDEXED_DAYS: i64 = 366;

/// Reads the conditions in `where`, all of which must hold.
pub(crate) fn conditions(query: &Query) -> Result<Vec<Condition>, Problem> {
    let invalid = |why: &dyn std::fmt::Display| Problem::invalid_parameter("where", why);
    let conditions: Vec<Condition> =
        query.all("where").map(|text| Condition::parse(text).map_err(|why| invalid(&why))).collect::<Result<_, _>>()?;
    if conditions.len() > MOST_CONDITIONS {
        return Err(invalid(&format!("must be given at most {MOST_CONDITIONS} times")));
    }
    Ok(conditions)
}

/// Reads the field in `by`, by whose values events are counted.
pub(crate) fn by(query: &Query) -> Result<Option<MetadataPath>, Problem> {
    query.optional("by", MetadataPath::parse_parameter)
}

/// Checks that a range of time is not too long for conditions: the index of one that names a value
/// finds the events, or else all events of the range are read.
pub(crate) fn check_range(
    from: Option<DateTime<Utc>>,
    to: DateTime<Utc>,
    conditions: &[Condition],
    event_type: Option<&str>,
    indexes: &[MetadataIndex],
) -> Result<(), Problem> {
    let is_indexed = |condition: &Condition| {
        condition.value.is_some() && indexes.iter().any(|index| index.serves(&condition.path, event_type))
    };
    let (most, why) = if conditions.iter().any(is_indexed) {
        (INDEXED_DAYS, "")
    } else {
        (UNINDEXED_DAYS, ", because no condition of where has an index (analytics-jobs metadata-index)")
    };
    check_days(from, to, most, why)
}
