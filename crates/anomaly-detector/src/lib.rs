//! Judges the buckets of a time series one by one, by their past alone.
//!
//! It is pure: no I/O, no clock, nothing of this service. A caller gives the buckets in order to a
//! [`Detector`], which returns a [`Judgement`] of each, and these to [`Anomalies`], which merges
//! neighbours into an [`Anomaly`].
//!
//! What is usual for a bucket is the median of the same time of the week in the last 8 weeks, scaled by
//! how far the last 7 days were from what was usual for them. How far a bucket may be from it follows
//! from how far earlier buckets of about the same time of the day were: by their median absolute
//! deviation and their largest ones. Before there are 3 weeks of history, the time of the day and the
//! last 7 days are used; before there are 10 days, there is no verdict.

mod history;
mod interval;
mod level;

mod detector;

mod anomaly;

pub use anomaly::{Anomalies, Anomaly, Span};
pub use detector::{Band, Bucket, Detector, Judgement, Verdict};
pub use interval::{Interval, InvalidInterval};
