//! `torture`: hurts the service in every known way and asks whether every number is right.

use std::path::PathBuf;
use std::process::ExitCode;

use analytics_torture::arena::Options;
use analytics_torture::faults::{FAULTS, Fault};
use analytics_torture::{MUTANTS, Outcome, report};
use clap::Parser;

/// Hurts the service in every known way, and asks whether every number is right.
///
/// Each fault gets a fresh database, fresh topics, three workers and a stream that knows its own
/// right answers. One line per fault tells what was lost, duplicated, wrong and stuck, and how
/// long the service took to recover; what exactly is not right follows it. Ends with 1 unless
/// everything is 0.
///
/// Examples:
///   scripts/torture                                 every fault with 100,000 records each
///   scripts/torture --fault worker-kill --seed 7    one fault
///   scripts/torture --fault storm --records 500000  many faults one upon the other
///   scripts/torture --mutants                       workers with deliberate faults must be caught
#[derive(Parser)]
#[command(name = "scripts/torture", verbatim_doc_comment)]
struct Arguments {
    /// A fault of --list, several separated by commas, or all; all writes docs/evidence/faults.md
    #[arg(long, default_value = "all")]
    fault: String,
    /// The same seed makes the same stream and the same storm
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Records for each fault
    #[arg(long, default_value_t = 100_000)]
    records: u64,
    /// Names the faults, and ends
    #[arg(long)]
    list: bool,
    /// Only workers with deliberate faults, each of which must be caught
    #[arg(long)]
    mutants: bool,
    /// Every fault and every mutant in a few minutes: few records, several faults at once
    #[arg(long)]
    short: bool,
    /// How many faults at once, each on servers of its own; 1, in the short form 4
    #[arg(long)]
    at_once: Option<usize>,
    /// Where logs of workers are kept after a failure
    #[arg(long, default_value = ".local/torture", hide = true)]
    logs: PathBuf,
    /// Where the page with the evidence is written
    #[arg(long, hide = true)]
    page: Option<PathBuf>,
    /// The binary with the mutants
    #[arg(long, hide = true)]
    mutated: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.list {
        for fault in FAULTS {
            println!("{:<29} {}", fault.name, fault.what);
        }
        return ExitCode::SUCCESS;
    }
    let records = if arguments.short { 4_000 } else { arguments.records };
    let options = Options { seed: arguments.seed, records, mutant: None, logs: arguments.logs.clone() };
    let plan = match plan(&arguments, &options) {
        Ok(plan) => plan,
        Err(problem) => {
            eprintln!("error: {problem}");
            return ExitCode::from(2);
        }
    };
    // Most faults are waiting, so that the short form is short on two cores as well.
    let at_once = arguments.at_once.unwrap_or(if arguments.short { 4 } else { 1 });
    println!("{}", report::head());
    let outcomes = analytics_torture::run(&plan, at_once, tell);
    if let Some(page) = arguments.page.as_ref().filter(|_| arguments.fault == "all" && !arguments.short) {
        std::fs::write(page, report::page(&outcomes, &options, at_once)).expect("the page with the evidence");
        eprintln!("written: {}", page.display());
    }
    let good = outcomes.iter().filter(|outcome| is_good(outcome)).count();
    println!("torture: {good} passed, {} failed", outcomes.len() - good);
    if good == outcomes.len() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What is to be run.
fn plan(arguments: &Arguments, options: &Options) -> Result<Vec<(&'static Fault, Options)>, String> {
    let mut plan = Vec::new();
    if arguments.short || !arguments.mutants {
        let names: Vec<&str> = arguments.fault.split(',').collect();
        let known = |name: &&str| *name == "all" || analytics_torture::named(name).is_some();
        if let Some(unknown) = names.iter().find(|name| !known(name)) {
            return Err(format!("there is no fault {unknown}; --list names them"));
        }
        let wanted = FAULTS.iter().filter(|fault| names.contains(&"all") || names.contains(&fault.name));
        let wanted = wanted.filter(|fault| fault.short || !arguments.short);
        plan.extend(wanted.map(|fault| (fault, options.clone())));
    }
    if let Some(mutated) = &arguments.mutated {
        for (mutant, fault) in MUTANTS {
            let fault = analytics_torture::named(fault).ok_or("a mutant's fault is not in the list")?;
            let mutant = Some((mutant.to_owned(), mutated.clone()));
            // It need not be many to be caught.
            plan.push((fault, Options { mutant, records: options.records.min(20_000), ..options.clone() }));
        }
    }
    Ok(plan)
}

fn is_good(outcome: &Outcome) -> bool {
    !outcome.verdict.broke_off && outcome.verdict.is_clean() == outcome.mutant.is_none()
}

fn tell(outcome: &Outcome) {
    println!("{}", report::line(outcome));
    if !is_good(outcome) || outcome.mutant.is_some() {
        for detail in &outcome.verdict.details {
            eprintln!("    {detail}");
        }
    }
}
