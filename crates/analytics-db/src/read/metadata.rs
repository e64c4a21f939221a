//! Conditions on the payloads of events, as SQL.

use analytics_core::metadata::Condition;

use crate::tables::metadata_indexes::value_of;

/// Returns SQL that is true for the events `e` for which all conditions hold. The values of those
/// that have one are the parameters from number `first` on.
pub(super) fn all_hold(conditions: &[Condition], first: usize) -> String {
    let mut number = first;
    let mut sql = |condition: &Condition| {
        let field = value_of(&condition.path, "e.metadata");
        if condition.value.is_none() {
            return format!("{field} IS NULL");
        }
        let parameter = number;
        number += 1;
        format!("{field} = ${parameter}")
    };
    conditions.iter().map(&mut sql).collect::<Vec<_>>().join(" AND ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_parameters_and_paths_are_literals() {
        let conditions: Vec<Condition> =
            ["metadata.a.b=x", "metadata.c=null", "metadata.d='"].map(|text| Condition::parse(text).unwrap()).into();
        assert_eq!(
            all_hold(&conditions, 6),
            "(left(e.metadata #>> '{\"a\",\"b\"}', 101) COLLATE \"C\") = $6 \
             AND (left(e.metadata #>> '{\"c\"}', 101) COLLATE \"C\") IS NULL \
             AND (left(e.metadata #>> '{\"d\"}', 101) COLLATE \"C\") = $7"
        );
    }
}
