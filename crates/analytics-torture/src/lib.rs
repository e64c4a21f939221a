//! Injects every fault that is known to make counters wrong, and then checks that every number is
//! right. Runs the real release binaries with real Kafka and real PostgreSQL.
//!
//! [`stream`] generates the records, and [`answers`] computes the expected results without any of
//! the service's code. [`arena`] sets up one run, [`faults`] injects a fault into it, [`check`]
//! compares the results, and [`report`] formats them.

pub mod answers;
pub mod arena;
pub mod check;
pub mod faults;
pub mod report;
mod reversals;
pub mod stream;
pub mod traits;
mod written;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use arena::{Arena, Options, Run};
use check::Verdict;
use faults::{FAULTS, Fault};

/// The result of a run.
pub struct Outcome {
    /// The injected fault.
    pub fault: &'static Fault,
    /// Name of the workers' deliberate defect, if they had one.
    pub mutant: Option<String>,
    /// What the check found.
    pub verdict: Verdict,
    /// Duration of the whole run.
    pub took: Duration,
}

/// Mutants: each is a deliberate defect of the workers, with the fault under which the check must
/// reveal it.
pub const MUTANTS: [(&str, &str); 7] = [
    ("offset-before-data", "worker-kill-mid-batch"),
    ("no-fence", "offsets-set-mid-batch"),
    ("no-dedupe", "none"),
    ("lost-rollback", "offsets-set-mid-batch"),
    ("deltas-kept", "none"),
    ("deltas-dropped", "none"),
    ("skipped-range", "none"),
];

/// Returns the fault with this name.
#[must_use]
pub fn named(name: &str) -> Option<&'static Fault> {
    FAULTS.iter().find(|fault| fault.name == name)
}

/// Runs these faults, `at_once` of them at a time, each on servers that no other run uses at the
/// same time. Calls `tell` after each run. Returns the outcomes in the order of `faults`.
///
/// # Panics
/// If the servers cannot be started.
pub fn run(faults: &[(&'static Fault, Options)], at_once: usize, tell: impl Fn(&Outcome) + Sync) -> Vec<Outcome> {
    let next = AtomicUsize::new(0);
    let outcomes = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..at_once.min(faults.len()) {
            scope.spawn(|| {
                let mut arena = None;
                while let Some((fault, options)) = faults.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let began = Instant::now();
                    let verdict = attempt(&mut arena, fault, options);
                    let mutant = options.mutant.as_ref().map(|(name, _)| name.clone());
                    let outcome = Outcome { fault, mutant, verdict, took: began.elapsed() };
                    tell(&outcome);
                    outcomes.lock().expect("the outcomes").push(outcome);
                }
            });
        }
    });
    let mut outcomes = outcomes.into_inner().expect("the outcomes");
    outcomes.sort_by_key(|outcome| {
        faults.iter().position(|(fault, options)| {
            fault.name == outcome.fault.name && options.mutant.as_ref().map(|(name, _)| name) == outcome.mutant.as_ref()
        })
    });
    outcomes
}

/// Executes one run. If the fault could not be carried out, the run has failed and the next one
/// gets new servers, since the state of these is unknown.
fn attempt(arena: &mut Option<Arena>, fault: &Fault, options: &Options) -> Verdict {
    let tried = catch_unwind(AssertUnwindSafe(|| {
        let arena = arena.get_or_insert_with(Arena::open);
        let mut run = Run::new(arena, options, fault.traits, fault.proxied);
        let done = catch_unwind(AssertUnwindSafe(|| {
            (fault.run)(&mut run);
            check::judge(&run)
        }));
        let verdict = done.unwrap_or_else(|why| failed(why.as_ref()));
        if !verdict.is_clean() && options.mutant.is_none() {
            run.keep_logs(&options.logs.join(fault.name));
        }
        verdict
    }));
    let verdict = tried.unwrap_or_else(|why| failed(why.as_ref()));
    if verdict.broke_off || arena.as_ref().is_some_and(|arena| arena.spoiled) {
        *arena = None;
    }
    verdict
}

fn failed(why: &(dyn std::any::Any + Send)) -> Verdict {
    let text = why.downcast_ref::<String>().cloned();
    let text = text.or_else(|| why.downcast_ref::<&str>().map(|text| (*text).to_owned()));
    let why = text.unwrap_or_else(|| "a panic without a message".into());
    Verdict { broke_off: true, details: vec![format!("the run was aborted: {why}")], ..Verdict::default() }
}
