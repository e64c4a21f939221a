//! `torture`: injects faults into the running service and checks that every number is right.

use std::path::PathBuf;
use std::process::ExitCode;

use analytics_torture::arena::Options;
use analytics_torture::faults::{FAULTS, Fault};
use analytics_torture::{MUTANTS, Outcome, report};
use clap::Parser;

/// Injects faults into the running service, and checks that every number is right.
///
/// Each fault gets a new database, new topics, three workers and a stream of records whose expected
/// results are known. One line per fault shows how much was lost, duplicated, wrong and stuck, and
/// how long the service took to recover; details of what is not right follow it. The exit code is 1
/// unless all of these are 0 and every mutant is caught.
///
/// Examples:
///   scripts/torture                                 every fault with 100,000 records each
///   scripts/torture --fault worker-kill --seed 7    one fault
///   scripts/torture --fault storm --records 500000  many faults in a row
///   scripts/torture --mutants                       workers with deliberate defects must be caught
#[derive(Parser)]
#[command(name = "scripts/torture", verbatim_doc_comment)]
struct Arguments {
    /// A fault of --list, several separated by commas, or all; all writes docs/evidence/faults.md
    #[arg(long, default_value = "all")]
    fault: String,
    /// Seed of the random numbers: the same seed gives the same stream and the same storm
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Number of records for each fault
    #[arg(long, default_value_t = 100_000)]
    records: u64,
    /// Lists the faults and exits
    #[arg(long)]
    list: bool,
    /// Runs only workers with deliberate defects, each of which must be caught
    #[arg(long)]
    mutants: bool,
    /// Runs every fault and every mutant in a few minutes: few records, several faults at once
    #[arg(long)]
    short: bool,
    /// Number of faults at once, each on servers of its own; by default 1, or 4 with --short
    #[arg(long)]
    at_once: Option<usize>,
    /// Folder in which logs of workers are kept after a failure
    #[arg(long, default_value = ".local/torture", hide = true)]
    logs: PathBuf,
    /// File to which the page with the results is written
    #[arg(long, hide = true)]
    page: Option<PathBuf>,
    /// Path of the binary of ingest that contains the mutants
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
    // Most faults mostly wait, so several can run at once even on two cores.
    let at_once = arguments.at_once.unwrap_or(if arguments.short { 4 } else { 1 });
    println!("{}", report::head());
    let outcomes = analytics_torture::run(&plan, at_once, tell);
    if let Some(page) = arguments.page.as_ref().filter(|_| arguments.fault == "all" && !arguments.short) {
        std::fs::write(page, report::page(&outcomes, &options, at_once)).expect("the page with the results");
        eprintln!("wrote {}", page.display());
    }
    let good = outcomes.iter().filter(|outcome| is_good(outcome)).count();
    println!("torture: {good} passed, {} failed", outcomes.len() - good);
    if good == outcomes.len() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Returns the runs that the arguments request, or an error message.
fn plan(arguments: &Arguments, options: &Options) -> Result<Vec<(&'static Fault, Options)>, String> {
    let mut plan = Vec::new();
    if arguments.short || !arguments.mutants {
        let names: Vec<&str> = arguments.fault.split(',').collect();
        let known = |name: &&str| *name == "all" || analytics_torture::named(name).is_some();
        if let Some(unknown) = names.iter().find(|name| !known(name)) {
            return Err(format!("there is no fault {unknown}; --list lists the faults"));
        }
        let wanted = FAULTS.iter().filter(|fault| names.contains(&"all") || names.contains(&fault.name));
        let wanted = wanted.filter(|fault| fault.short || !arguments.short);
        plan.extend(wanted.map(|fault| (fault, options.clone())));
    }
    if let Some(mutated) = &arguments.mutated {
        for (mutant, fault) in MUTANTS {
            let fault = analytics_torture::named(fault).ok_or("a mutant's fault is not in the list")?;
            let mutant = Some((mutant.to_owned(), mutated.clone()));
            // 20,000 records are enough to catch a mutant.
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
