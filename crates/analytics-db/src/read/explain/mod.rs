//! Explains a number: returns the events behind it, newest first, each with what it added.
//!
//! What an event added is computed by applying the rules to it alone. Of a user's ratings only the
//! latest counts: each rating adds its stars and subtracts those of the rating that precedes it in
//! time.

mod sources;

use std::collections::{BTreeSet, HashMap};

use analytics_core::business::Business;
use analytics_core::catalogue::{Definition, ScopeKind};
use analytics_core::deltas::{Deltas, Rated};
use analytics_core::event::{Event, Line, Part};
use analytics_core::ids::{ProductId, UserId};
use analytics_core::metric_type::{MetricType, Subject};
use analytics_core::money::Currency;
use analytics_core::period::Span;
use analytics_core::ratios::{Fraction, Histogram};
use analytics_core::reversal::Entry;
use analytics_core::rules;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use self::sources::{adjusted, expected, sources};
use super::windows::{Listed, Window, first_hours, lowest_id, newest_first};
use super::{AsOf, ReadableMetric};
use crate::connection::take_the_rest;
use crate::raw_json::RawJson;
use crate::sql::{row, statement};
use crate::tables::logged_events::{self, Logged};
use crate::{Connection, DbError};

/// A page of the events behind a number.
#[derive(Debug)]
pub struct Explanation {
    /// The events, newest first.
    pub contributions: Vec<Contribution>,
    /// The event after which the next page begins, if there is one.
    pub next: Option<Uuid>,
}

/// An event that contributes to a number.
#[derive(Debug)]
pub struct Contribution {
    /// The event.
    pub event: Event,
    /// When it was logged.
    pub ingested_at: DateTime<Utc>,
    /// What it added.
    pub delta: Delta,
    /// The lines of an order that contribute to the number.
    pub lines: Vec<Line>,
    /// Of a cancellation or a refund, what was taken back that contributes to the number.
    pub reversed: Vec<Entry>,
    /// The rating that it replaced.
    pub replaced: Option<Rated>,
    /// The payload of an adjustment: who made it, why, and by how much.
    pub said: Option<RawJson>,
}

/// What an event added to a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delta {
    /// Added to a sum.
    Counter(i64),
    /// Added to the components of a ratio.
    Ratio(Fraction),
    /// Added to the components of an average.
    Average(Histogram),
}

row! {
    struct Row {
        id: Uuid,
        batch_id: i64,
        said: Option<RawJson>,
    }
}

impl Listed for Row {
    fn id(&self) -> Uuid {
        self.id
    }

    fn batch(&self) -> i64 {
        self.batch_id
    }
}

/// Which events behind a metric are selected.
#[derive(Debug)]
pub struct Selection<'a> {
    /// Those of these batches.
    pub as_of: &'a AsOf,
    /// Those that happened in this range. A rating is then shown as it was received, without what
    /// it replaced: the sum is that of a series.
    pub span: Option<Span>,
    /// Of a seller's counter, only what it counted for this product.
    pub product: Option<&'a ProductId>,
    /// Those that are older than this event.
    pub before: Option<Uuid>,
    /// At most so many.
    pub limit: usize,
}

/// Returns a page of the events behind a metric.
///
/// # Errors
/// [`DbError`].
pub fn explain(
    connection: &mut Connection,
    metric: &ReadableMetric,
    business: Business,
    selection: &Selection<'_>,
) -> Result<Explanation, DbError> {
    let Selection { as_of, span, product, limit, .. } = *selection;
    let mut rows = candidates(connection, metric, business, selection)?;
    take_the_rest(connection)?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().map(|row| row.id).filter(|_| more);
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
    let mut logged: HashMap<Uuid, Logged> =
        logged_events::by_ids(connection, as_of, &ids)?.into_iter().map(|logged| (logged.id.0, logged)).collect();
    let followed = match metric.known() {
        Some(known) if is_rating(known) && span.is_none() => {
            Followed::load(connection, known, logged.values(), business, as_of)?
        }
        _ => Followed::default(),
    };
    let mut contributions = Vec::new();
    for row in rows {
        let Some(Logged { rules_version, ingested_at, event, .. }) = logged.remove(&row.id) else { continue };
        // An event that cannot be read is not recounted by verify either, which reports it.
        let Ok(mut event) = event else { continue };
        product.into_iter().for_each(|product| event.content.keep_parts_about(product));
        let deltas = recounted(rules_version, &event, business)?;
        let replaced = followed.by(&event);
        let Some(delta) = delta(metric, &deltas, replaced) else { continue };
        let lines = metric.known().map_or_else(Vec::new, |known| lines(&event, known, business));
        let reversed = metric.known().map_or_else(Vec::new, |known| entries(&event, known, business));
        contributions.push(Contribution { ingested_at, delta, lines, reversed, replaced, said: row.said, event });
    }
    Ok(Explanation { contributions, next })
}

/// Returns what an event adds by the rules by which it was counted.
///
/// # Errors
/// [`DbError::Unusable`] if a newer program counted it: an explanation without it would not sum to
/// the value.
fn recounted(rules_version: i16, event: &Event, business: Business) -> Result<Deltas, DbError> {
    let mut deltas = Deltas::default();
    rules::recount(rules_version, event, business, &mut deltas).map_err(|why| DbError::Unusable(why.to_string()))?;
    Ok(deltas)
}

fn candidates(
    connection: &mut Connection,
    metric: &ReadableMetric,
    business: Business,
    selection: &Selection<'_>,
) -> Result<Vec<Row>, DbError> {
    let Selection { as_of, span, product, before, limit } = *selection;
    let known = metric.known();
    let (mut subject, mut stretches) = (None, Vec::new());
    match known.map(|known| &known.subject) {
        Some(Subject::Product(id)) => subject = Some(id.as_str()),
        Some(Subject::Vendor(id)) => subject = Some(id.as_str()),
        Some(Subject::Day(date)) => stretches = business.calendar.day_ranges(*date),
        Some(Subject::Marketplace) | None => {}
    }
    let money = known.filter(|known| known.metric.has_currency());
    let currency = money.map(|known| known.foreign_currency.unwrap_or(business.base_currency).code());
    let batches = as_of.batch_range();
    let sources = sources(known, product.is_some(), batches.is_some());
    // LIMIT has each event looked up by its id, in the partition that the id belongs to.
    let sql = format!(
        "SELECT e.id, {batch} AS batch_id, CASE WHEN e.event_type = 'metric.adjusted' THEN e.metadata END AS said \
         FROM unnest(ARRAY(({}))) AS found (id) CROSS JOIN LATERAL (\
             SELECT * FROM event_logs e WHERE e.id = found.id AND e.id >= $5 AND e.id < $1 LIMIT 1) AS e \
         ORDER BY e.id DESC LIMIT $2",
        sources.join(") UNION ("),
        // What a reversal came to belongs to the batch that booked it, and an unpaid order to the one that counted it.
        batch = if batches.is_some() {
            "coalesce((SELECT max(n.batch_id) FROM reversal_entries n WHERE n.event_id = e.id \
                       AND n.batch_id BETWEEN $10 AND $11 AND n.batch_id = ANY($13)), \
                      (SELECT u.paid_batch FROM unpaid_orders u WHERE u.event_id = e.id), e.batch_id)"
        } else {
            "e.batch_id"
        },
    );
    let (adjusted, adjusted_on_day) = adjusted(metric);
    // An adjustment of a day's metric may have been made on any other day.
    let range = Window {
        from: span.map_or(Window::ALL.from, |span| lowest_id(span.from)),
        to: before.into_iter().chain(span.map(|span| lowest_id(span.to))).fold(Window::ALL.to, Uuid::min),
    };
    let more = limit.saturating_add(1);
    let expected = known.filter(|_| batches.is_none()).and_then(|known| expected(known, more));
    let hours = first_hours(connection, expected, business.calendar, as_of, range)?;
    newest_first(connection, as_of, range, hours, more, |connection, window, limit| {
        Ok(statement(&sql)
            .value(window.to)
            .value(i64::try_from(limit).unwrap_or(i64::MAX))
            .value(subject)
            .value(currency)
            .value(window.from)
            .column(&adjusted)
            .column(stretches.iter().map(|stretch| lowest_id(stretch.start)))
            .column(stretches.iter().map(|stretch| lowest_id(stretch.end)))
            .column(&adjusted_on_day)
            .value(batches.map(|(first, _)| first))
            .value(batches.map(|(_, last)| last))
            .value(product.map(ProductId::as_str))
            .column(as_of.seen_since())
            .load(connection)?)
    })
}

/// Returns what an event added to the metric; `None` if it does not contribute to it.
fn delta(metric: &ReadableMetric, deltas: &Deltas, replaced: Option<Rated>) -> Option<Delta> {
    let Some(known) = metric.known() else { return adjusted_alone(metric, deltas) };
    match known.metric.definition() {
        Definition::Ratio { .. } => deltas.ratios.get(known).copied().map(Delta::Ratio),
        Definition::AverageRating { .. } => {
            let ((_, _), rated) = deltas.ratings.iter().find(|((target, _), _)| target == known)?;
            let mut histogram = Histogram::default();
            histogram.add(rated.stars, 1);
            replaced.into_iter().for_each(|replaced| histogram.add(replaced.stars, -1));
            Some(Delta::Average(histogram))
        }
        Definition::Counter { .. } | Definition::Daily { .. } | Definition::Difference { .. } => {
            let counted = deltas.counters.get(known).and_then(|sum| i64::try_from(*sum).ok());
            counted.map(Delta::Counter).or_else(|| adjusted_alone(metric, deltas))
        }
    }
}

fn adjusted_alone(metric: &ReadableMetric, deltas: &Deltas) -> Option<Delta> {
    let (_, sum) = deltas.adjusted_alone().find(|(metric_type, _)| *metric_type == metric.as_str())?;
    i64::try_from(sum).ok().map(Delta::Counter)
}

/// Returns the lines of an order that contribute to the metric: those of a seller, those of a
/// product, or all.
fn lines(event: &Event, known: &MetricType, business: Business) -> Vec<Line> {
    let counts = |line: &&Line| is_of(known, &line.part, Some(line.sale.currency), business);
    event.content.lines().iter().filter(counts).cloned().collect()
}

/// Returns what a cancellation or a refund took back that contributes to the metric.
fn entries(event: &Event, known: &MetricType, business: Business) -> Vec<Entry> {
    let counts = |entry: &&Entry| {
        let of_line = entry.line.as_ref();
        of_line.is_some_and(|(_, part)| is_of(known, part, entry.currency, business))
    };
    event.content.reversal().map_or(&[][..], |reversal| &reversal.entries).iter().filter(counts).cloned().collect()
}

/// Whether a part of an order, in this currency, contributes to the metric.
fn is_of(known: &MetricType, part: &Part, of: Option<Currency>, business: Business) -> bool {
    let of_subject = match &known.subject {
        Subject::Product(product) => part.product.as_ref() == Some(product),
        Subject::Vendor(vendor) => part.vendor.id() == Some(vendor),
        Subject::Marketplace => !is_unattributed(known) || part.vendor.id().is_none(),
        Subject::Day(_) => false,
    };
    let currency = known.foreign_currency.unwrap_or(business.base_currency);
    of_subject && (!known.metric.has_currency() || of == Some(currency))
}

const fn is_unattributed(known: &MetricType) -> bool {
    matches!(known.metric.definition(), Definition::Counter { scope: ScopeKind::Unattributed, .. })
}

const fn is_rating(known: &MetricType) -> bool {
    matches!(known.metric.definition(), Definition::AverageRating { .. })
}

/// All ratings by some users of one target.
#[derive(Default)]
struct Followed(HashMap<UserId, Vec<Rated>>);

impl Followed {
    fn load<'a>(
        connection: &mut Connection,
        target: &MetricType,
        events: impl Iterator<Item = &'a Logged>,
        business: Business,
        as_of: &AsOf,
    ) -> Result<Self, DbError> {
        let users: BTreeSet<&str> =
            events.filter_map(|logged| logged.event.as_ref().ok()?.user.as_ref()).map(UserId::as_str).collect();
        let users: Vec<&str> = users.into_iter().collect();
        let ratings = logged_events::ratings_of_target(connection, as_of, &users, &target.subject)?;
        let mut followed: HashMap<UserId, Vec<Rated>> = HashMap::new();
        for logged in ratings {
            let Ok(event) = logged.event else { continue };
            let deltas = recounted(logged.rules_version, &event, business)?;
            for ((rated, user), rating) in deltas.ratings {
                if rated == *target {
                    followed.entry(user).or_default().push(rating);
                }
            }
        }
        Ok(Self(followed))
    }

    /// Returns the rating that this one replaced: the latest one before it in time.
    fn by(&self, event: &Event) -> Option<Rated> {
        let (Some(rating), Some(user)) = (event.content.rating(), &event.user) else { return None };
        let own = Rated { stars: rating.stars, time: event.time, event: event.id };
        let earlier = self.0.get(user)?.iter().filter(|rated| own.replaces(rated) && rated.event != own.event);
        earlier.copied().reduce(|a, b| if b.replaces(&a) { b } else { a })
    }
}
