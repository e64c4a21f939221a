//! The operator's jobs run in parallel with ingest and with each other.

use std::time::Duration;

use diesel::connection::SimpleConnection;

use crate::arena::Run;

/// Creates partitions while the event log is being read: by verify, and by a transaction that stays
/// open for long.
pub(super) fn ddl(run: &mut Run<'_>) {
    let coming =
        "SELECT relid FROM pg_partition_tree('event_logs') WHERE isleaf ORDER BY relid::text COLLATE \"C\" DESC";
    // The default partition is the last by name, so OFFSET 1 keeps it.
    for partition in run.database.lines(&format!("{coming} OFFSET 1 LIMIT 3")) {
        run.database.execute(&format!("DROP TABLE {partition}"));
    }
    let partitions = run.database.lines(coming).len();
    run.start_workers();
    run.feed_now(30);
    run.settled();
    let mut reader = run.database.connect();
    reader.batch_execute("BEGIN; SELECT count(*) FROM event_logs").expect("a reader");
    let feeding = run.feed(50, Duration::from_secs(8));
    run.job(&["migrate"]);
    let mut proof = run.start_job(&["verify", "--full"]);
    let mut making = run.start_job(&["partitions"]);
    for _ in 0..2 {
        run.wait_for_progress();
    }
    feeding.wait();
    // Only the job that creates partitions waits for the reader; ingest counts everything.
    run.settled();
    assert_eq!(
        run.database.lines(coming).len(),
        partitions,
        "a partition was created although a reader was still active"
    );
    drop(reader);
    let patience = Duration::from_secs(90);
    assert!(making.wait_ended(patience).success(), "partitions were not created");
    assert!(proof.wait_ended(patience).success(), "verify found a drift");
    assert_eq!(run.database.lines(coming).len(), partitions + 3);
    run.fault_is_over();
    run.feed_now(20);
}
