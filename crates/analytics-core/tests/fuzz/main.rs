//! Fuzz test: decodes a million hostile records. Each must become an event or a rejection, and the
//! result must agree with a simple reader that is based on another JSON library.
//!
//! The environment variables `FUZZ_CASES` and `FUZZ_SEED` set the number of records and the seed;
//! `scripts/fuzz` sets them from its options. A failure names the seed and the case, with which the
//! same record can be generated again.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod check;
mod generate;
mod hostile_values;
mod tree;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use generate::Generator;

/// Number of records in a test run, unless `FUZZ_CASES` is set.
const CASES: u64 = 1_000_000;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} must be a number")))
}

#[test]
fn a_million_hostile_records_are_each_an_event_or_a_rejection() {
    let (cases, seed) = (setting("FUZZ_CASES", CASES), setting("FUZZ_SEED", 1));
    let threads = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let tallies = thread::scope(|scope| {
        let worker = |first| {
            scope.spawn(move || {
                (0..cases)
                    .skip(first)
                    .step_by(threads)
                    .fold(check::Tally::default(), |tally, case| one(tally, seed, case))
            })
        };
        let workers: Vec<_> = (0..threads).map(worker).collect();
        workers.into_iter().map(|worker| worker.join().expect("a case that failed, see above")).collect::<Vec<_>>()
    });
    let total = tallies.into_iter().reduce(check::Tally::plus).unwrap();
    println!("{cases} records of seed {seed}: {total}");
    if cases >= 100_000 {
        total.assert_varied(cases);
    }
}

/// Generates one record and checks the result of decoding it.
fn one(mut tally: check::Tally, seed: u64, case: u64) -> check::Tally {
    let record = Generator::new(seed, case).record();
    let checked = catch_unwind(AssertUnwindSafe(|| check::record(&record, case, &mut tally)));
    if checked.is_err() {
        let payload = record.payload.as_deref().map(String::from_utf8_lossy);
        panic!("FUZZ_SEED={seed} case {case}: {:?} {:?} {payload:?}", record.place, record.headers);
    }
    tally
}
