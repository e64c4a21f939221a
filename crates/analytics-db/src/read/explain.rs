//! The events behind a number, newest first, each with what it added.
//!
//! What an event added is what the rules say of it alone. Of ratings only the last of each user
//! counts: each rating adds its stars and takes away those of the one that it followed in time.

use std::collections::{BTreeSet, HashMap, HashSet};

use analytics_core::business::Business;
use analytics_core::catalogue::{Definition, Measure, ScopeKind};
use analytics_core::deltas::{Deltas, Rated};
use analytics_core::event::{Event, Line};
use analytics_core::family::{Family, Shape};
use analytics_core::identity::EventId;
use analytics_core::ids::UserId;
use analytics_core::metric_type::{MetricType, Subject};
use analytics_core::ratios::{Fraction, Histogram};
use analytics_core::rules;
use chrono::{DateTime, Utc};
use diesel::sql_types::{Array, BigInt, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel::{QueryableByName, RunQueryDsl, sql_query};
use uuid::Uuid;

use super::windows::{Window, newest_first};
use super::{ReadableMetric, Snapshot};
use crate::connection::take_the_rest;
use crate::raw_json::RawJson;
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

/// An event that is a part of a number.
#[derive(Debug)]
pub struct Contribution {
    /// The event.
    pub event: Event,
    /// When it was counted.
    pub ingested_at: DateTime<Utc>,
    /// What it added.
    pub delta: Delta,
    /// The lines of an order that are in the number.
    pub lines: Vec<Line>,
    /// The rating that it took the place of.
    pub replaced: Option<Rated>,
    /// What an adjustment says: who, why, how much.
    pub said: Option<RawJson>,
}

/// What an event added to a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delta {
    /// To a sum.
    Counter(i64),
    /// To the components of a ratio.
    Ratio(Fraction),
    /// To the components of an average.
    Average(Histogram),
}

/// Where the adjustments of a metric are. In all of this SQL $5 to $1 (exclusive) is a window of ids, $2 how
/// many, $3 the subject, $4 the currency, $6 the metric's type, $7 to $8 (exclusive) the ids of the stretches of
/// a day.
const ADJUSTMENTS: &str = "SELECT id FROM event_logs WHERE event_type = 'metric.adjusted' \
                           AND metadata ->> 'type' = $6 AND id >= $5 AND id < $1 ORDER BY id DESC LIMIT $2";

/// Where the events of a metric are: SQL that gives ids. An event that turns out to add nothing does no harm.
fn sources(known: Option<&MetricType>) -> Vec<String> {
    let Some(known) = known else { return vec![ADJUSTMENTS.to_owned()] };
    let mut sources: Vec<String> = match known.metric.definition() {
        Definition::Counter { measure, scope } => {
            rules::families_of(measure).map(|family| of_family(family, scope, measure.is_money())).collect()
        }
        Definition::Daily { measure } => rules::families_of(measure).map(on_day).collect(),
        Definition::Ratio { numerator, denominator, scope, .. } => {
            let of_measure = |measure: Measure| {
                rules::families_of(measure).map(move |family| of_family(family, scope, measure.is_money()))
            };
            of_measure(numerator).chain(of_measure(denominator)).collect()
        }
        Definition::AverageRating { scope } => {
            Shape::Rating.families().map(|family| of_family(family, scope, false)).collect()
        }
    };
    sources.dedup();
    if known.metric.is_counter() {
        sources.push(ADJUSTMENTS.to_owned());
    }
    sources
}

/// The events of a family in a scope; of money those in the currency.
fn of_family(family: Family, scope: ScopeKind, money: bool) -> String {
    let of_scope = match scope {
        ScopeKind::Total => "",
        ScopeKind::Unattributed => "AND vendor_id IS NULL",
        ScopeKind::Product => "AND product_id = $3",
        ScopeKind::Seller => "AND vendor_id = $3",
    };
    let in_lines = family.shape() == Shape::Lines && (scope != ScopeKind::Total || money);
    if in_lines {
        format!(
            "SELECT DISTINCT event_id FROM order_lines WHERE ($4 IS NULL OR currency = $4) {of_scope} \
             AND event_id >= $5 AND event_id < $1 ORDER BY event_id DESC LIMIT $2"
        )
    } else {
        format!(
            "SELECT id FROM event_logs WHERE event_type = '{}' {of_scope} AND id >= $5 AND id < $1 \
             ORDER BY id DESC LIMIT $2",
            family.name()
        )
    }
}

/// The events of a family on a day.
fn on_day(family: Family) -> String {
    format!(
        "SELECT e.id FROM unnest($7, $8) AS s (first, last) JOIN event_logs e \
         ON e.id >= s.first AND e.id < s.last AND e.event_type = '{}' \
         WHERE e.id >= $5 AND e.id < $1 ORDER BY e.id DESC LIMIT $2",
        family.name()
    )
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Timestamptz)]
    ingested_at: DateTime<Utc>,
    #[diesel(sql_type = Nullable<Jsonb>)]
    said: Option<RawJson>,
}

/// A page of the events behind a metric: at most `limit`, older than the event `before`; only those that
/// could be seen in a snapshot, if one is given.
///
/// # Errors
/// [`DbError`].
pub fn explain(
    connection: &mut Connection,
    metric: &ReadableMetric,
    business: Business,
    snapshot: Option<&Snapshot>,
    before: Option<Uuid>,
    limit: usize,
) -> Result<Explanation, DbError> {
    let mut rows = candidates(connection, metric, business, before, limit.saturating_add(1))?;
    take_the_rest(connection)?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().map(|row| row.id).filter(|_| more);
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
    let unseen = unseen(connection, snapshot, &ids)?;
    let mut logged: HashMap<Uuid, Logged> =
        logged_events::by_ids(connection, &ids)?.into_iter().map(|logged| (logged.id.0, logged)).collect();
    let followed = match metric.known() {
        Some(known) if is_rating(known) => Followed::load(connection, known, logged.values(), business, snapshot)?,
        _ => Followed::default(),
    };
    let mut contributions = Vec::new();
    for row in rows {
        let Some(Logged { rules_version, event, .. }) = logged.remove(&row.id).filter(|_| !unseen.contains(&row.id))
        else {
            continue;
        };
        // What cannot be read was not counted again either; verify names it.
        let Ok(event) = event else { continue };
        let deltas = recounted(rules_version, &event, business)?;
        let replaced = followed.by(&event);
        let Some(delta) = delta(metric, &deltas, replaced) else { continue };
        let lines = metric.known().map_or_else(Vec::new, |known| lines(&event, known, business));
        contributions.push(Contribution {
            ingested_at: row.ingested_at,
            delta,
            lines,
            replaced,
            said: row.said,
            event,
        });
    }
    Ok(Explanation { contributions, next })
}

/// What an event adds by the rules that decided it.
///
/// # Errors
/// [`DbError::Unusable`] where a newer program decided it: an explanation without it would not sum to the value.
fn recounted(rules_version: i16, event: &Event, business: Business) -> Result<Deltas, DbError> {
    let mut deltas = Deltas::default();
    rules::recount(rules_version, event, business, &mut deltas).map_err(|why| DbError::Unusable(why.to_string()))?;
    Ok(deltas)
}

fn unseen(connection: &mut Connection, snapshot: Option<&Snapshot>, ids: &[Uuid]) -> Result<HashSet<Uuid>, DbError> {
    snapshot.map_or_else(|| Ok(HashSet::new()), |snapshot| snapshot.unseen(connection, ids))
}

fn candidates(
    connection: &mut Connection,
    metric: &ReadableMetric,
    business: Business,
    before: Option<Uuid>,
    limit: usize,
) -> Result<Vec<Row>, DbError> {
    let known = metric.known();
    let (mut subject, mut stretches) = (None, Vec::new());
    match known.map(|known| &known.subject) {
        Some(Subject::Product(id)) => subject = Some(id.as_str()),
        Some(Subject::Vendor(id)) => subject = Some(id.as_str()),
        Some(Subject::Day(date)) => stretches = business.calendar.day_ranges(*date),
        Some(Subject::Marketplace) | None => {}
    }
    let money = known.filter(|known| known.metric.is_money());
    let currency = money.map(|known| known.foreign_currency.unwrap_or(business.base_currency).code());
    let sources: Vec<String> = sources(known).iter().map(|source| format!("({source})")).collect();
    // An array, so that each event is looked up by its id, whatever is known of the window.
    let sql = format!(
        "SELECT e.id, e.ingested_at, CASE WHEN e.event_type = 'metric.adjusted' THEN e.metadata END AS said \
         FROM event_logs e WHERE e.id = ANY(ARRAY({})) AND e.id >= $5 AND e.id < $1 \
         ORDER BY e.id DESC LIMIT $2",
        sources.join(" UNION ")
    );
    let lowest = |time: DateTime<Utc>| EventId::lowest_at(time.into()).0;
    let first: Vec<Uuid> = stretches.iter().map(|stretch| lowest(stretch.start)).collect();
    let last: Vec<Uuid> = stretches.iter().map(|stretch| lowest(stretch.end)).collect();
    // An adjustment of a day may have been made on any other.
    let range = Window { to: before.unwrap_or(Window::ALL.to), ..Window::ALL };
    newest_first(connection, range, limit, |connection, window, limit| {
        let rows = sql_query(&sql)
            .bind::<SqlUuid, _>(window.to)
            .bind::<BigInt, _>(i64::try_from(limit).unwrap_or(i64::MAX))
            .bind::<Nullable<Text>, _>(subject)
            .bind::<Nullable<Text>, _>(currency)
            .bind::<SqlUuid, _>(window.from)
            .bind::<Text, _>(metric.as_str())
            .bind::<Array<SqlUuid>, _>(&first)
            .bind::<Array<SqlUuid>, _>(&last)
            .load(connection)?;
        Ok(rows)
    })
}

/// What an event added to the metric; `None` where it is no part of it.
fn delta(metric: &ReadableMetric, deltas: &Deltas, replaced: Option<Rated>) -> Option<Delta> {
    let Some(known) = metric.known() else { return adjusted(metric, deltas) };
    match known.metric.definition() {
        Definition::Ratio { .. } => deltas.ratios.get(known).copied().map(Delta::Ratio),
        Definition::AverageRating { .. } => {
            let ((_, _), rated) = deltas.ratings.iter().find(|((target, _), _)| target == known)?;
            let mut histogram = Histogram::default();
            histogram.add(rated.stars, 1);
            replaced.into_iter().for_each(|replaced| histogram.add(replaced.stars, -1));
            Some(Delta::Average(histogram))
        }
        Definition::Counter { .. } | Definition::Daily { .. } => {
            let counted = deltas.counters.get(known).and_then(|sum| i64::try_from(*sum).ok());
            counted.map(Delta::Counter).or_else(|| adjusted(metric, deltas))
        }
    }
}

fn adjusted(metric: &ReadableMetric, deltas: &Deltas) -> Option<Delta> {
    let sum = deltas.adjustments.get(metric.as_str())?;
    i64::try_from(*sum).ok().map(Delta::Counter)
}

/// The lines of an order that are in the number: a seller's own, a product's, or all.
fn lines(event: &Event, known: &MetricType, business: Business) -> Vec<Line> {
    let currency = known.foreign_currency.unwrap_or(business.base_currency);
    let counts = |Line { part, sale }: &&Line| {
        let of_subject = match &known.subject {
            Subject::Product(product) => part.product.as_ref() == Some(product),
            Subject::Vendor(vendor) => part.vendor.id() == Some(vendor),
            Subject::Marketplace => !is_unattributed(known) || part.vendor.id().is_none(),
            Subject::Day(_) => false,
        };
        of_subject && (!known.metric.is_money() || sale.currency == currency)
    };
    event.content.lines().iter().filter(counts).cloned().collect()
}

const fn is_unattributed(known: &MetricType) -> bool {
    matches!(known.metric.definition(), Definition::Counter { scope: ScopeKind::Unattributed, .. })
}

pub(super) const fn is_rating(known: &MetricType) -> bool {
    matches!(known.metric.definition(), Definition::AverageRating { .. })
}

/// All ratings of some users of one target, in the order in which they stood.
#[derive(Default)]
struct Followed(HashMap<UserId, Vec<Rated>>);

impl Followed {
    fn load<'a>(
        connection: &mut Connection,
        target: &MetricType,
        events: impl Iterator<Item = &'a Logged>,
        business: Business,
        snapshot: Option<&Snapshot>,
    ) -> Result<Self, DbError> {
        let users: BTreeSet<&str> =
            events.filter_map(|logged| logged.event.as_ref().ok()?.user.as_ref()).map(UserId::as_str).collect();
        let ratings =
            logged_events::ratings_of_target(connection, &users.into_iter().collect::<Vec<_>>(), &target.subject)?;
        let unseen = unseen(connection, snapshot, &ratings.iter().map(|logged| logged.id.0).collect::<Vec<_>>())?;
        let mut followed: HashMap<UserId, Vec<Rated>> = HashMap::new();
        for logged in ratings.into_iter().filter(|logged| !unseen.contains(&logged.id.0)) {
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

    /// The rating that this one took the place of: the latest before it in time.
    fn by(&self, event: &Event) -> Option<Rated> {
        let (Some(rating), Some(user)) = (event.content.rating(), &event.user) else { return None };
        let own = Rated { stars: rating.stars, time: event.time, event: event.id };
        let earlier = self.0.get(user)?.iter().filter(|rated| own.replaces(rated) && rated.event != own.event);
        earlier.copied().reduce(|a, b| if b.replaces(&a) { b } else { a })
    }
}
