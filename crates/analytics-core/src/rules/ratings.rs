//! Ratings: of each target, the latest rating of each user.

use super::Context;
use crate::deltas::{Deltas, Histogram, Opinion, Rated};
use crate::event::{Body, Event};
use crate::maps::HashMap;
use crate::metric_type::{Metric, MetricType, Subject};

/// Proposes the event's rating; whether it stands is decided by [`settle`], when the ratings
/// that stand so far are known.
pub(super) fn count(event: &Event, _: &Context, deltas: &mut Deltas) {
    let (Body::Rating { product, vendor, stars }, Some(user)) = (&event.body, &event.user) else { return };
    let rated = Rated { stars: *stars, time: event.time, event: event.id };
    let product = product.clone().map(|id| MetricType::new(Metric::ProductRating, Subject::Product(id)));
    let vendor = vendor.clone().map(|id| MetricType::new(Metric::SellerRating, Subject::Vendor(id)));
    for target in product.into_iter().chain(vendor) {
        propose(&mut deltas.ratings, (target, user.clone()), rated);
    }
}

fn propose(ratings: &mut HashMap<Opinion, Rated>, opinion: Opinion, rated: Rated) {
    ratings
        .entry(opinion)
        .and_modify(|standing| {
            if rated.replaces(standing) {
                *standing = rated;
            }
        })
        .or_insert(rated);
}

/// What a batch's ratings come to, given those that stand.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// The ratings that stand from now on.
    pub standing: Vec<(Opinion, Rated)>,
    /// How each target's histogram changes.
    pub histograms: HashMap<MetricType, Histogram>,
}

/// Decides which of the proposed ratings stand. `standing` holds, of the proposed opinions,
/// those that have a rating already.
#[must_use]
pub fn settle(proposed: &HashMap<Opinion, Rated>, standing: &HashMap<Opinion, Rated>) -> Settled {
    let mut settled = Settled::default();
    for (opinion, rated) in proposed {
        let before = standing.get(opinion);
        if before.is_some_and(|before| !rated.replaces(before)) {
            continue;
        }
        let histogram = settled.histograms.entry(opinion.0.clone()).or_default();
        histogram.add(rated.stars, 1);
        if let Some(before) = before {
            histogram.add(before.stars, -1);
        }
        settled.standing.push((opinion.clone(), *rated));
    }
    settled
}
