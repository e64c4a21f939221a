//! Ratings: for each target, the latest rating of each user counts.

use crate::catalogue::{Definition, Metric, ScopeKind};
use crate::deltas::{Deltas, Rated, RatingKey};
use crate::event::Event;
use crate::maps::HashMap;
use crate::metric_type::{MetricType, Subject};
use crate::ratios::Histogram;

/// Adds the event's rating, if it is one, to the deltas as a candidate. [`settle`] decides whether
/// it becomes the current rating, once the current ratings are known.
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
        deltas.propose((MetricType::new(metric, subject), user.clone()), rated);
    }
}

/// The changes that a batch makes to ratings.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// The ratings of the batch that become the current ones.
    pub standing: Vec<(RatingKey, Rated)>,
    /// The changes of each target's histogram.
    pub histograms: HashMap<MetricType, Histogram>,
}

/// Decides which of the proposed ratings become the current ones. `standing` has the current rating
/// for each key of the proposed ratings for which there is one.
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
