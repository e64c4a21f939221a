//! The list of faults. The function of a fault starts the workers, produces the whole stream,
//! injects the fault meanwhile, and calls `fault_is_over` when the fault ends.

mod input;
mod jobs;
mod network;
mod obstacle;
mod servers;
mod storm;
mod topics;
mod workers;

use super::arena::Run;
use super::traits::Traits;

/// One fault.
pub struct Fault {
    /// Its name for `--fault`.
    pub name: &'static str,
    /// What happens, for people.
    pub what: &'static str,
    /// What its stream contains in addition to ordinary traffic.
    pub traits: Traits,
    /// Whether workers reach the servers through the proxies.
    pub proxied: bool,
    /// Whether `--short` includes it.
    pub short: bool,
    /// Injects it into a run.
    pub run: fn(&mut Run<'_>),
}

const PLAIN: Traits = Traits {
    jumping_clocks: false,
    bad_records: false,
    refused_records: false,
    hostile_records: false,
    no_reversals: false,
    unpaid_orders: true,
};
const NO_REVERSALS: Traits = Traits { no_reversals: true, unpaid_orders: false, ..PLAIN };
const CLOCKS: Traits = Traits { jumping_clocks: true, ..PLAIN };
// Here orders count when they are created.
const BAD: Traits = Traits { bad_records: true, refused_records: true, unpaid_orders: false, ..PLAIN };
const HOSTILE: Traits = Traits { hostile_records: true, ..BAD };
const ALL: Traits = Traits { jumping_clocks: true, ..HOSTILE };

const fn fault(name: &'static str, what: &'static str, run: fn(&mut Run<'_>)) -> Fault {
    Fault { name, what, traits: PLAIN, proxied: false, short: true, run }
}

const fn proxied(name: &'static str, what: &'static str, run: fn(&mut Run<'_>)) -> Fault {
    Fault { proxied: true, ..fault(name, what, run) }
}

/// All faults.
pub const FAULTS: &[Fault] = &[
    fault("none", "no fault, for comparison with the others", input::stream_alone),
    fault("worker-kill", "workers are killed (SIGKILL) and replaced", workers::kill),
    fault("worker-kill-mid-batch", "workers are killed in the middle of their transaction", workers::kill_in_mid_batch),
    fault("worker-term", "workers are stopped (SIGTERM) and replaced", workers::terminate),
    fault("worker-freeze", "a worker is frozen for longer than its session timeout, and continues", workers::freeze),
    fault(
        "worker-freeze-before-fence",
        "a worker freezes before it moves its offsets, and continues",
        workers::freeze_before_the_fence,
    ),
    fault(
        "worker-freeze-after-fence",
        "a worker freezes after moving its offsets, and continues",
        workers::freeze_after_the_fence,
    ),
    fault(
        "worker-freeze-mid-copy",
        "a worker freezes during a COPY, while it holds identities that others need, and continues",
        workers::freeze_in_copy,
    ),
    fault("fold-kill", "workers are killed in the middle of a fold", workers::kill_in_mid_fold),
    fault(
        "fold-freeze",
        "a worker freezes in the middle of a fold, while it holds the counting lock, and continues",
        workers::freeze_in_fold,
    ),
    fault("workers-join-leave", "workers join and leave repeatedly", workers::join_and_leave),
    fault("database-crash", "PostgreSQL crashes (immediate stop) and is started again", servers::database_crash),
    fault("database-freeze", "PostgreSQL freezes, and continues", servers::database_freeze),
    proxied(
        "database-black-hole",
        "the network silently drops every byte to and from PostgreSQL, and then works again",
        network::black_hole,
    ),
    fault(
        "shared-sessions",
        "workers share four sessions of a PgBouncer in transaction mode, and are killed and stopped",
        network::pooled,
    ),
    fault(
        "ddl-beside-verify",
        "partitions are created and the schema is checked while verify reads the event log",
        jobs::ddl,
    ),
    // Some of the events are of months that are over.
    Fault {
        traits: CLOCKS,
        ..fault(
            "statements-close-kill",
            "runs that close statements are killed while they store them, and others continue",
            jobs::closing_killed,
        )
    },
    proxied("commit-answer-lost", "connections break between COMMIT and its answer", network::lose_answers),
    proxied("commit-lost", "connections break before COMMIT reaches PostgreSQL", network::lose_commits),
    fault("broker-kill", "Kafka is killed (SIGKILL) and started again", servers::broker_kill),
    fault("broker-freeze", "Kafka freezes for longer than the session timeout, and continues", servers::broker_freeze),
    fault(
        "leaderless-partition",
        "a partition of one topic loses its leader, and the leader returns",
        servers::leaderless,
    ),
    proxied("slow-network", "every byte to and from both servers is delayed by 100 ms", network::slow),
    // Each partition has to end with a record, and those of reversals have few.
    Fault {
        traits: NO_REVERSALS,
        ..fault("aborted-transactions", "producers abort some Kafka transactions and commit others", topics::aborted)
    },
    fault("retention", "retention deletes records that stopped workers have not read", topics::retention),
    fault("partition-added", "topics get more partitions while workers run", topics::partition_added),
    fault("topic-remade-short", "a topic is deleted and created again while workers run", topics::remade_short),
    fault("topic-remade-grown", "the same, and the new topic grows past the stored offsets", topics::remade_grown),
    fault(
        "topic-remade-stopped-short",
        "a topic is deleted and created again while workers are stopped",
        topics::stopped_short,
    ),
    fault(
        "topic-remade-stopped-grown",
        "the same, and the new topic grows past the stored offsets before they start",
        topics::stopped_grown,
    ),
    Fault {
        traits: BAD,
        ..fault("bad-records", "malformed, oversize and database-refused records among good ones", input::stream_alone)
    },
    Fault {
        traits: HOSTILE,
        ..fault("hostile-records", "records made to crash their reader, among good ones", input::stream_alone)
    },
    Fault {
        traits: CLOCKS,
        ..fault("clock-jumps", "producers' clocks jump by years, hours and minutes", input::stream_alone)
    },
    fault("offsets-set-back", "the operator resets offsets to 0 while workers run", input::offsets_set_back),
    fault(
        "offsets-set-mid-batch",
        "the operator resets offsets to 0 while workers are in their transactions",
        input::offsets_set_in_mid_batch,
    ),
    Fault { traits: ALL, ..proxied("storm", "many of these in a row, chosen at random by the seed", storm::run) },
];
