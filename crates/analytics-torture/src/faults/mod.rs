//! The faults, one line each. A fault starts its workers, feeds the whole stream, does its harm
//! on the way, and says when that is over.

mod input;
mod jobs;
mod network;
mod obstacle;
mod servers;
mod storm;
mod topics;
mod workers;

use super::arena::Run;
use super::stream::Traits;

/// One fault.
pub struct Fault {
    /// What `--fault` calls it.
    pub name: &'static str,
    /// What happens.
    pub what: &'static str,
    /// What its stream has.
    pub traits: Traits,
    /// Whether workers reach the servers through the proxies.
    pub proxied: bool,
    /// Whether the short form has it.
    pub short: bool,
    /// Does it.
    pub run: fn(&mut Run<'_>),
}

const PLAIN: Traits =
    Traits { jumping_clocks: false, bad_records: false, refused_records: false, hostile_records: false };
const CLOCKS: Traits = Traits { jumping_clocks: true, ..PLAIN };
const BAD: Traits = Traits { bad_records: true, refused_records: true, ..PLAIN };
const HOSTILE: Traits = Traits { hostile_records: true, ..BAD };
const ALL: Traits = Traits { jumping_clocks: true, ..HOSTILE };

const fn fault(name: &'static str, what: &'static str, run: fn(&mut Run<'_>)) -> Fault {
    Fault { name, what, traits: PLAIN, proxied: false, short: true, run }
}

const fn proxied(name: &'static str, what: &'static str, run: fn(&mut Run<'_>)) -> Fault {
    Fault { proxied: true, ..fault(name, what, run) }
}

/// All of them.
pub const FAULTS: &[Fault] = &[
    fault("none", "nothing: what the others are compared with", input::stream_alone),
    fault("worker-kill", "workers are killed (SIGKILL) and replaced", workers::kill),
    fault("worker-kill-mid-batch", "workers are killed in the middle of their transaction", workers::kill_in_mid_batch),
    fault("worker-term", "workers are stopped (SIGTERM) and replaced", workers::terminate),
    fault("worker-freeze", "a worker is frozen for longer than its session, and wakes up", workers::freeze),
    fault(
        "worker-freeze-before-fence",
        "a worker freezes while it is given the counting lock, and wakes up",
        workers::freeze_before_the_fence,
    ),
    fault(
        "worker-freeze-after-fence",
        "a worker freezes with moved offsets and the counting lock in its hands, and wakes up",
        workers::freeze_after_the_fence,
    ),
    fault(
        "worker-freeze-mid-copy",
        "a worker freezes in the middle of a COPY, with identities that others need, and wakes up",
        workers::freeze_in_copy,
    ),
    fault("workers-join-leave", "workers join and leave all the time", workers::join_and_leave),
    fault("database-crash", "PostgreSQL crashes (immediate stop) and is started again", servers::database_crash),
    fault("database-freeze", "PostgreSQL freezes, and goes on", servers::database_freeze),
    proxied(
        "database-black-hole",
        "the network swallows every byte to and from PostgreSQL without a word, and carries them again",
        network::black_hole,
    ),
    fault(
        "shared-sessions",
        "a PgBouncer in transaction mode with four sessions for all, workers killed and stopped",
        network::pooled,
    ),
    fault("ddl-beside-verify", "partitions are made and the schema is checked while proofs read the log", jobs::ddl),
    proxied("commit-answer-lost", "connections break between COMMIT and its answer", network::lose_answers),
    proxied("commit-lost", "connections break before COMMIT gets through", network::lose_commits),
    fault("broker-kill", "Kafka is killed (SIGKILL) and started again", servers::broker_kill),
    fault("broker-freeze", "Kafka freezes for longer than sessions, and goes on", servers::broker_freeze),
    fault("leaderless-partition", "a partition of one topic loses its leader, and gets it back", servers::leaderless),
    proxied("slow-network", "every byte to and from both servers comes 100 ms late", network::slow),
    fault("aborted-transactions", "producers abort some Kafka transactions and commit others", topics::aborted),
    fault("retention", "retention overtakes stopped workers", topics::retention),
    fault("partition-added", "topics get more partitions while workers run", topics::partition_added),
    fault("topic-remade-short", "a topic is deleted and made again, workers running", topics::remade_short),
    fault("topic-remade-grown", "the same, and it grows past the stored offsets", topics::remade_grown),
    fault("topic-remade-stopped-short", "a topic is deleted and made again, workers stopped", topics::stopped_short),
    fault(
        "topic-remade-stopped-grown",
        "the same, and it grows past the stored offsets before they start",
        topics::stopped_grown,
    ),
    Fault {
        traits: BAD,
        ..fault("bad-records", "poison, oversize and database-refused records among good ones", input::stream_alone)
    },
    Fault {
        traits: HOSTILE,
        ..fault("hostile-records", "records made to stop whoever reads them, among good ones", input::stream_alone)
    },
    Fault {
        traits: CLOCKS,
        ..fault("clock-jumps", "producers' clocks jump by years, hours and minutes", input::stream_alone)
    },
    fault("offsets-set-back", "the operator sets offsets back while workers run", input::offsets_set_back),
    fault(
        "offsets-set-mid-batch",
        "the operator sets offsets back while workers are in their transactions",
        input::offsets_set_in_mid_batch,
    ),
    Fault { traits: ALL, ..proxied("storm", "many of these, one upon the other, by the seed's choice", storm::run) },
];
