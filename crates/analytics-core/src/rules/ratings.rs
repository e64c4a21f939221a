//! Ratings: of each target, the latest rating of each user.

use crate::catalogue::{Definition, Metric, ScopeKind};
use crate::deltas::{Deltas, Rated, RatingKey};
use crate::event::Event;
use crate::maps::HashMap;
use crate::metric_type::{MetricType, Subject};
use crate::ratios::Histogram;

/// Proposes the event's rating, if it is one; whether it stands is decided by [`settle`], when the ratings
/// that stand so far are known.
pub(super) fn propose(event: &Event, deltas: &mut Deltas) {
    let (Some(rating), Some(user)) = (event.content.rating(), &event.user) else { return };
    let rated = Rated { stars: rating.stars, time: event.time, event: event.id };
    for metric in Metric::ALL {
        let Definition::AverageRating { scope } = metric.definition() else { continue };
        let subject = match scope {
            ScopeKind::Product => rating.product.clone().map(Subject::Product),
            ScopeKind::Seller => rating.vendor.clone().map(Subject::Vendor),
            ScopeKind::Total | ScopeKind::Unattributed => Some(Subject::Marketplace),
        };
        let Some(subject) = subject else { continue };
        let standing = deltas.ratings.entry((MetricType::new(metric, subject), user.clone())).or_insert(rated);
        if rated.replaces(standing) {
            *standing = rated;
        }
    }
}

/// What a batch's ratings come to, given those that stand.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// The ratings that stand from now on.
    pub standing: Vec<(RatingKey, Rated)>,
    /// How each target's histogram changes.
    pub histograms: HashMap<MetricType, Histogram>,
}

/// Decides which of the proposed ratings stand. `standing` holds, of the proposed ratings,
/// those that stand so far.
#[must_use]
pub fn settle(proposed: &HashMap<RatingKey, Rated>, standing: &HashMap<RatingKey, Rated>) -> Settled {
    let mut settled = Settled::default();
    for (key, rated) in proposed {
        let before = standing.get(key);
        if before.is_some_and(|before| !rated.replaces(before)) {
            continue;
        }
        let histogram = settled.histograms.entry(key.0.clone()).or_default();
        histogram.add(rated.stars, 1);
        if let Some(before) = before {
            histogram.add(before.stars, -1);
        }
        settled.standing.push((key.clone(), *rated));
    }
    settled
}
