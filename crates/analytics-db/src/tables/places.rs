//! Rows of several ranges of time, which may overlap, read in one statement: each row once, in the place between two bounds.

use std::collections::BTreeSet;

use analytics_core::identity::EventId;
use analytics_core::period::Span;
use uuid::Uuid;

/// Ranges of time as ranges of event ids, and all of their bounds.
pub(crate) struct Places {
    ranges: Vec<(Uuid, Uuid)>,
    bounds: Vec<Uuid>,
}

impl Places {
    /// The places that some ranges are made of.
    pub(crate) fn of(spans: &[Span]) -> Self {
        let ids = |span: &Span| {
            let [from, to] = [span.from, span.to].map(|time| EventId::lowest_at(time.into()).0);
            (from, to)
        };
        let ranges: Vec<(Uuid, Uuid)> = spans.iter().map(ids).collect();
        let bounds: BTreeSet<Uuid> = ranges.iter().flat_map(|(from, to)| [*from, *to]).collect();
        Self { ranges, bounds: bounds.into_iter().collect() }
    }

    /// The bounds, in order. The place of an id in SQL is `width_bucket(id, bounds)`.
    pub(crate) fn bounds(&self) -> &[Uuid] {
        &self.bounds
    }

    /// Returns the indexes of the ranges that contain a place.
    pub(crate) fn ranges(&self, place: i32) -> impl Iterator<Item = usize> {
        // The place n lies between the bounds n - 1 and n.
        let start = usize::try_from(place).ok().and_then(|place| self.bounds.get(place.checked_sub(1)?));
        let contains =
            move |(_, (from, to)): &(usize, &(Uuid, Uuid))| start.is_some_and(|start| from <= start && start < to);
        self.ranges.iter().enumerate().filter(contains).map(|(range, _)| range)
    }
}
