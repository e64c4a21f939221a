//! A simple in-memory replacement for the database: maps to which batches are added.

use std::collections::BTreeMap;

use analytics_core::attribution::{ProductVendor, ProductVendors};
use analytics_core::business::Business;
use analytics_core::catalogue::Measure;
use analytics_core::dedupe::{Known, Verdict};
use analytics_core::deltas::{Deltas, Rated, RatingKey};
use analytics_core::event::Event;
use analytics_core::events::{Decoder, OrderCounts, Redaction};
use analytics_core::ids::ProductId;
use analytics_core::maps::HashMap;
use analytics_core::metric_type::MetricType;
use analytics_core::ratios::{Fraction, Histogram};
use analytics_core::record::Record;
use analytics_core::rollup::{Bucket, Measures};
use analytics_core::rules;
use analytics_core::rules::ratings::settle;
use analytics_core::topics::Topics;
use chrono::{DateTime, Utc};

pub(crate) fn decoder() -> Decoder {
    Decoder {
        topics: Topics::default(),
        business: Business::parse("USD", "UTC").unwrap(),
        redaction: Redaction::default(),
        max_record_bytes: 1 << 20,
        order_counts: OrderCounts::Created,
    }
}

/// Everything that the service stores.
#[derive(Default)]
pub(crate) struct Ledger {
    known: Known,
    vendors: HashMap<ProductId, ProductVendor>,
    standing: HashMap<RatingKey, Rated>,
    pub(crate) events: Vec<Event>,
    pub(crate) counters: BTreeMap<MetricType, i128>,
    pub(crate) rollups: BTreeMap<Bucket, Measures>,
    pub(crate) ratios: BTreeMap<MetricType, Fraction>,
    pub(crate) histograms: BTreeMap<MetricType, Histogram>,
    pub(crate) dead_letters: BTreeMap<&'static str, u64>,
    pub(crate) duplicates: u64,
}

impl Ledger {
    /// Counts one batch of records.
    pub(crate) fn count(&mut self, records: &[Record], decoder: &Decoder, now: DateTime<Utc>) {
        let mut vendors = ProductVendors::new(std::mem::take(&mut self.vendors));
        let mut deltas = Deltas::default();
        for record in records {
            let judged = decoder.decode(record, now).and_then(|event| match self.known.judge(&event) {
                Verdict::Conflict(rejection) => Err(rejection),
                verdict => Ok((event, verdict)),
            });
            match judged {
                Ok((mut event, Verdict::New)) => {
                    vendors.attribute(&mut event);
                    rules::count(&event, decoder.business, &mut deltas);
                    self.events.push(event);
                }
                Ok(_) => self.duplicates += 1,
                Err(rejection) => *self.dead_letters.entry(rejection.reason.code()).or_default() += 1,
            }
        }
        self.vendors = vendors.into_known();
        // A batch keeps the finest sums; everything that it adds follows from them.
        let mut again = Deltas::default();
        deltas.finest().for_each(|(bucket, sums)| again.add_finest(bucket, sums, decoder.business.calendar));
        assert_eq!(
            (&again.counters, &again.rollups, &again.ratios),
            (&deltas.counters, &deltas.rollups, &deltas.ratios)
        );
        self.apply(deltas);
    }

    fn apply(&mut self, deltas: Deltas) {
        for (metric_type, amount) in deltas.counters {
            *self.counters.entry(metric_type).or_default() += amount;
        }
        for (bucket, add) in deltas.rollups {
            let row = self.rollups.entry(bucket).or_default();
            for measure in Measure::ALL {
                add.get(measure).into_iter().for_each(|amount| row.add(measure, amount));
            }
        }
        for (ratio, add) in deltas.ratios {
            let row = self.ratios.entry(ratio).or_default();
            row.numerator += add.numerator;
            row.denominator += add.denominator;
        }
        let settled = settle(&deltas.ratings, &self.standing);
        self.standing.extend(settled.standing);
        for (target, add) in settled.histograms {
            let row = self.histograms.entry(target).or_default();
            for (kept, add) in row.0.iter_mut().zip(add.0) {
                *kept += add;
            }
        }
    }
}
