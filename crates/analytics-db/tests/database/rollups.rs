//! The table `rollups` has a column for each measure of the catalogue, and the view
//! `metric_rollups` shows each as its metrics.

use analytics_core::catalogue::Measure;
use analytics_core::ids::{ProductId, VendorId};
use analytics_core::rollup::{Bucket, Granularity, Measures, Scope};
use analytics_testkit::database::Database;
use chrono::{DateTime, Utc};
use diesel::connection::SimpleConnection;

/// A new measure or counter in the catalogue needs a migration that changes the table and the view.
#[test]
fn the_view_shows_every_counter_of_the_catalogue() {
    let database = Database::migrated();
    let columns = Measure::ALL.map(Measure::column).join(", ");
    let mut measures = Measures::default();
    (1..).zip(Measure::ALL).for_each(|(sum, measure)| measures.add(measure, sum));
    let sums = Measure::ALL.map(|measure| measures.get(measure).unwrap().to_string()).join(", ");
    let mut expected = Vec::new();
    let start: DateTime<Utc> = "2026-11-20T00:00:00Z".parse().unwrap();
    for (scope, code, subject) in [
        (Scope::Total, "t", ""),
        (Scope::Unattributed, "u", ""),
        (Scope::Seller(VendorId::parse("v").unwrap()), "s", "v"),
        (Scope::Product(ProductId::parse("p").unwrap()), "p", "p"),
    ] {
        for (granularity, width) in [(Granularity::Hour, "h"), (Granularity::Day, "d")] {
            if !granularity.is_kept_for(scope.kind()) {
                continue;
            }
            let insert = format!(
                "INSERT INTO rollups (bucket_start, granularity, scope, subject, currency, {columns}) \
                 VALUES ('{start}', '{width}', '{code}', '{subject}', '', {sums})"
            );
            database.connect().batch_execute(&insert).unwrap();
            let scope = scope.clone();
            let bucket = Bucket { start, granularity, scope, foreign_currency: None };
            let counters = bucket.counters(start.date_naive(), measures.clone());
            expected.extend(counters.map(|(counter, sum)| format!("{counter} {} {sum}", granularity.name())));
        }
    }
    expected.sort();
    let mut shown =
        database.lines("SELECT concat_ws(' ', metric_type, granularity, value) FROM metric_rollups ORDER BY 1");
    let net: Vec<String> = shown.extract_if(.., |line| line.contains("net_revenue")).collect();
    shown.sort();
    assert_eq!(shown, expected);
    // What is left of the fifth measure without the sixth.
    let [seller, total] =
        ["seller_net_revenue:v", "total_net_revenue"].map(|net| [format!("{net} day -1"), format!("{net} hour -1")]);
    assert_eq!(net, [seller, total].concat());
}
