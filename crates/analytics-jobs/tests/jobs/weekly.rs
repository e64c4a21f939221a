//! `weekly`: each seller's week is sent once, and has nothing of any other seller.

use std::collections::{BTreeMap, BTreeSet};

use analytics_testkit::process::{self, Job};
use analytics_testkit::service::PATIENCE;
use analytics_testkit::wait;
use serde_json::{Value, json};

use crate::anomalies::{DEAD, Watched};
use crate::notifications::environment;
use crate::receiver::{Answer, Received, Receiver};

fn run(arguments: &[&str], environment: &BTreeMap<String, String>) -> (bool, String, String) {
    let output = process::run("analytics-jobs", &[&["weekly"], arguments].concat(), environment);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.success(), text(output.stdout), text(output.stderr))
}

/// The lines of a dry run, by the seller that they are about.
fn printed(watched: &Watched, arguments: &[&str]) -> BTreeMap<String, String> {
    let (succeeded, lines, said) = run(&[&["--dry-run"], arguments].concat(), &watched.environment());
    assert!(succeeded, "{said}");
    let seller =
        |line: &str| serde_json::from_str::<Value>(line).unwrap()["data"]["vendorId"].as_str().unwrap().to_owned();
    lines.lines().map(|line| (seller(line), line.to_owned())).collect()
}

/// The last week that is over.
fn last_week(watched: &Watched) -> String {
    watched.0.lines("SELECT to_char((now() AT TIME ZONE 'UTC')::date - 7, 'IYYY-\"W\"IW')").remove(0)
}

/// The start of the last week that is over, in SQL.
const MONDAY: &str = "(date_trunc('week', now() AT TIME ZONE 'UTC') - interval '7 days') AT TIME ZONE 'UTC'";

#[test]
fn each_seller_gets_its_week_once_also_if_the_job_is_killed_in_the_middle() {
    let watched = Watched::new();
    let receiver = Receiver::start();
    let environment = environment(&watched.0, &receiver);
    let mut answers = vec![Answer::Status(204, ""); 5];
    answers.push(Answer::Silence);
    receiver.answers(&answers);
    let job = Job::start("analytics-jobs", &["weekly"], &environment);
    wait::until("six requests", PATIENCE, || (receiver.received().len() == 6).then_some(()));
    drop(job);
    let (succeeded, _, said) = run(&[], &environment);
    assert!(
        succeeded && said.contains("20 sellers, 0 of them new") && said.contains("15 notifications delivered"),
        "{said}"
    );
    let received = receiver.received();
    assert!(received.iter().all(Received::is_signed));
    assert_eq!(received.len(), 21, "one whose answer was lost is sent again");
    let ids: BTreeSet<&str> = received.iter().map(Received::id).collect();
    let sellers: BTreeSet<String> =
        received.iter().map(|request| request.body()["data"]["vendorId"].to_string()).collect();
    assert_eq!((ids.len(), sellers.len()), (20, 20), "with the id that it had");
    for arguments in [&[][..], &["--vendor", "s-1"]] {
        assert!(run(arguments, &environment).0);
        assert_eq!(receiver.received().len(), 21, "nobody is told twice");
    }
}

#[test]
fn what_a_seller_gets_does_not_change_with_the_numbers_of_others() {
    let watched = Watched::new();
    watched.0.execute(
        "INSERT INTO directory (kind, id, name, folded, named_at, event_id)
         SELECT 'vendor', 's-' || n, 'Shop ' || n, 'shop ' || n, now(), gen_random_uuid() FROM generate_series(1, 20) n;
         INSERT INTO metrics (type, value, numerator, denominator, histogram)
         SELECT 'seller_rating:s-' || n, 400 + n, 400 + n, 100, '{0,0,0,0,100}' FROM generate_series(1, 20) n",
    );
    let before = printed(&watched, &[]);
    assert_eq!(before.len(), 20);
    let others = "INSERT INTO rollups (bucket_start, granularity, scope, subject, currency, views, orders, units, revenue)
            SELECT bucket_start, granularity, scope, subject || x, '', views, 1, 2, 3 FROM rollups, unnest(ARRAY['x', '%3Ax', '1']) x
            WHERE scope = 's' AND subject = 's-1' ON CONFLICT DO NOTHING;
        UPDATE rollups SET views = views * 3 + 7, orders = orders * 5 + 1, units = units * 2 + 1, revenue = revenue * 7 + 3
            WHERE NOT (scope = 's' AND subject = 's-1');
        INSERT INTO rollups (bucket_start, granularity, scope, subject, currency, revenue)
            SELECT bucket_start, granularity, scope, subject, 'EUR', 99 FROM rollups WHERE NOT (scope = 's' AND subject = 's-1');
        DELETE FROM rollups WHERE scope = 's' AND subject IN ('s-3', 's-4');
        UPDATE metrics SET value = 111, denominator = 7 WHERE type <> 'seller_rating:s-1';
        UPDATE directory SET name = 'Renamed ' || id WHERE id <> 's-1'";
    watched.0.execute(others);
    let after = printed(&watched, &[]);
    assert_eq!(after["s-1"], before["s-1"]);
    assert_eq!(printed(&watched, &["--vendor", "s-1"]), [("s-1".to_owned(), before["s-1"].clone())].into());
    assert_ne!(after["s-2"], before["s-2"]);
    assert!(after.contains_key("s-1:x") && after.contains_key("s-1x"), "{:?}", after.keys());
    // What is delivered is what is printed.
    let receiver = Receiver::start();
    assert!(run(&[], &environment(&watched.0, &receiver)).0);
    let delivered = receiver.received().into_iter().map(|request| request.text);
    let link = "\"link\":\"https://analytics.example.com/numbers/sellers/s-1?";
    assert_eq!(delivered.filter(|text| text.contains(link)).count(), 1);
    // And its own numbers do change it.
    watched.0.execute("UPDATE rollups SET views = views + 1 WHERE scope = 's' AND subject = 's-1'");
    assert_ne!(printed(&watched, &[])["s-1"], before["s-1"]);
}

#[test]
fn the_numbers_are_those_of_the_seven_days_and_the_seven_before() {
    let watched = Watched::new();
    watched.0.execute(&format!(
        "INSERT INTO rollups (bucket_start, granularity, scope, subject, currency, views, orders, units, revenue)
         SELECT {MONDAY} + make_interval(days => d), 'd', 's', 'tea', '', 10, 1, 2, 450 FROM generate_series(-8, 8) d;
         INSERT INTO rollups (bucket_start, granularity, scope, subject, currency, revenue)
         SELECT {MONDAY} + make_interval(days => d), 'd', 's', 'tea', 'JPY', 100 FROM generate_series(0, 6) d;
         UPDATE rollups SET orders = 0 WHERE subject = 'tea' AND bucket_start < {MONDAY} AND bucket_start > {MONDAY} - interval '7 days';
         INSERT INTO metrics (type, value, numerator, denominator, histogram)
         VALUES ('seller_rating:tea', 450, 9, 2, '{{0,0,0,1,1}}')"
    ));
    let line = printed(&watched, &["--vendor", "tea"]).remove("tea").unwrap();
    let body: Value = serde_json::from_str(&line).unwrap();
    let data = &body["data"];
    let number = |unit: &str, value: i64, previous: i64, change: Value| json!({"unit": unit, "value": value, "previous": previous, "change": change});
    assert_eq!(data["week"], last_week(&watched));
    assert_eq!(data["views"], number("views", 70, 70, json!(0)));
    assert_eq!(data["orders"], number("orders", 7, 1, json!(60_000)));
    assert_eq!(data["units"], number("units", 14, 14, json!(0)));
    assert_eq!(data["conversion"], number("basis_points", 1_000, 143, json!(59_930)));
    let revenue = |currency: &str, amount: &str, mut number: Value| {
        number["currency"] = currency.into();
        number["amount"] = amount.into();
        number
    };
    assert_eq!(data["revenue"][0], revenue("USD", "31.50", number("minor_units", 3_150, 3_150, json!(0))));
    assert_eq!(data["revenue"][1], revenue("JPY", "700", number("minor_units", 700, 0, Value::Null)));
    assert_eq!(data["rating"], json!({"average": 450, "ratings": 2, "unit": "stars_times_100"}));
    let text = body["text"].as_str().unwrap();
    let said = ": 70 views (+0 %), 7 orders (+600 %), USD 31.50 (+0 %), JPY 700";
    assert!(text.starts_with("tea, week ") && text.ends_with(said), "{text}");
}

#[test]
fn only_weeks_that_are_over_and_counted_are_sent() {
    let watched = Watched::new();
    let receiver = Receiver::start();
    let environment = environment(&watched.0, &receiver);
    let this_week = watched.0.lines("SELECT to_char((now() AT TIME ZONE 'UTC')::date, 'IYYY-\"W\"IW')").remove(0);
    let last = last_week(&watched);
    let refused = |arguments: &[&str], sentence: &str| {
        let (succeeded, _, said) = run(arguments, &environment);
        assert!(!succeeded && said.contains(sentence), "{said}");
    };
    refused(&["--week", &this_week], &format!("the week {this_week} is not over: the last one that is, is {last}"));
    refused(&["--week", "2026-W60"], "must be a week such as 2026-W47");
    refused(&["--vendor", "nobody"], "the seller nobody has no views and no orders");
    watched.0.execute(&DEAD.replace("4 hours", "9 days").replace("3 hours", "9 days"));
    refused(&[], &format!("the week {last} is not completely counted yet"));
    assert!(receiver.received().is_empty());
    let mut without = environment.clone();
    without.remove("NOTIFY_WEBHOOK_URL");
    let (succeeded, _, said) = run(&[], &without);
    assert!(!succeeded && said.contains("NOTIFY_WEBHOOK_URL: must be set"), "{said}");
}
