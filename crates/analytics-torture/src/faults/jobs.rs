//! The operator's jobs run in parallel with ingest and with each other.

use std::time::Duration;

use analytics_testkit::service::STATEMENT_KEY;
use analytics_testkit::wait;
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

/// Closes the month that has most orders of those that are over, while late events of it arrive. Runs are killed in the
/// middle of storing statements and of the last step, two run at once, and the last one continues what they left.
pub(super) fn closing_killed(run: &mut Run<'_>) {
    run.set("STATEMENT_SIGNING_KEY", STATEMENT_KEY);
    run.start_workers();
    run.feed_now(40);
    run.settled();
    run.job(&["verify", "--full"]);
    let month = run
        .database
        .lines(
            "SELECT to_char(date_trunc('month', created_at AT TIME ZONE 'UTC'), 'YYYY-MM') FROM event_logs \
             WHERE event_type = 'order.created' AND created_at < date_trunc('month', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' \
             GROUP BY 1 ORDER BY count(*) DESC LIMIT 1",
        )
        .pop()
        .expect("orders of a month that is over");
    let close = ["statements", "close", "--month", &month, "--accept-gaps"];
    let feeding = run.feed(40, Duration::from_secs(8));
    let waits_for = |table: &str| {
        let waiting = format!("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = '{table}'::regclass");
        wait::until("the job to wait for a lock", Duration::from_secs(30), || {
            (run.database.number(&waiting) > Some(0)).then_some(())
        });
    };
    let lock = |table: &str, mode: &str| {
        let mut lock = run.database.connect();
        lock.batch_execute(&format!("BEGIN; LOCK TABLE {table} IN {mode} MODE")).expect("a lock");
        lock
    };
    for before_the_last_step in [false, true] {
        let storing = lock("statements", "EXCLUSIVE");
        let job = run.start_job(&close);
        waits_for("statements");
        if before_the_last_step {
            let _finishing = lock("statement_closings", "SHARE");
            drop(storing);
            waits_for("statement_closings");
            drop(job);
        } else {
            drop(job);
        }
    }
    let mut both = [run.start_job(&close), run.start_job(&close)];
    for job in &mut both {
        assert!(job.wait_ended(Duration::from_secs(60)).success(), "statements were not closed");
    }
    feeding.wait();
    run.fault_is_over();
    run.feed_now(20);
    run.settled();
    run.job(&close);
    let stored = run.database.number("SELECT count(*) FROM statements");
    run.job(&close);
    assert_eq!(
        run.database.number("SELECT count(*) FROM statements"),
        stored,
        "a run without changes stored statements"
    );
    assert!(stored > Some(0), "no statements");
    let differing = run.database.lines(&format!(
        "WITH latest AS (SELECT DISTINCT ON (vendor_id) vendor_id, csv FROM statements WHERE month = '{month}-01' \
             ORDER BY vendor_id, version DESC), \
         closed AS (SELECT l.vendor_id, s[1] AS currency, s[4]::bigint AS gross, s[5]::bigint AS refunds FROM latest l \
             CROSS JOIN LATERAL regexp_matches(l.csv, '^sum,([A-Z]+),,(\\d+),(\\d+),(-?\\d+),(-?\\d+),', 'gn') AS s), \
         counted AS (SELECT subject AS vendor_id, coalesce(nullif(currency, ''), 'USD') AS currency, \
                 coalesce(sum(revenue), 0)::bigint AS gross, coalesce(sum(refunds), 0)::bigint AS refunds \
             FROM rollups WHERE scope = 's' AND granularity = 'd' \
             AND bucket_start >= '{month}-01 UTC' AND bucket_start < '{month}-01 UTC'::timestamptz + interval '1 month' \
             GROUP BY 1, 2 HAVING num_nonnulls(sum(revenue), sum(refunds)) > 0) \
         SELECT coalesce(a.vendor_id, b.vendor_id) || ' ' || coalesce(a.currency, b.currency) || ': closed ' || \
             coalesce(a.gross, 0) || ' - ' || coalesce(a.refunds, 0) || ', counted ' || coalesce(b.gross, 0) || ' - ' || coalesce(b.refunds, 0) \
         FROM closed a FULL JOIN counted b ON a.vendor_id = b.vendor_id AND a.currency = b.currency \
         WHERE (coalesce(a.gross, 0), coalesce(a.refunds, 0)) <> (coalesce(b.gross, 0), coalesce(b.refunds, 0))"
    ));
    assert_eq!(differing, Vec::<String>::new(), "statements are not what is counted");
    let broken = run
        .database
        .lines("SELECT vendor_id FROM statements GROUP BY vendor_id, month HAVING count(*) <> max(version)");
    assert_eq!(broken, Vec::<String>::new(), "versions are missing");
}
