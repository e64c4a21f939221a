//! Buckets, periods and comparisons around the changes of clocks.

use super::*;
use crate::business::Business;

fn calendar(timezone: &str) -> Calendar {
    Business::parse("USD", timezone).unwrap().calendar
}

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

/// The lengths of the buckets of some days, in minutes.
fn minutes(timezone: &str, interval: Interval, first: &str, last: &str) -> Vec<i64> {
    let calendar = calendar(timezone);
    let span = Span::of_days(calendar, day(first), day(last));
    let buckets = interval.buckets(calendar, Weekday::Mon, span);
    assert!(buckets.is_sorted_by(|a, b| a.to == b.from), "{buckets:?}");
    let ends = (buckets.first().map(|bucket| bucket.from), buckets.last().map(|bucket| bucket.to));
    assert_eq!(ends, (Some(span.from), Some(span.to)));
    buckets.iter().map(|bucket| (bucket.to - bucket.from).num_minutes()).collect()
}

#[test]
fn buckets_leave_nothing_out_whatever_the_clock_does() {
    const DAY: i64 = 24 * 60;
    for (timezone, interval, first, last, expected) in [
        ("UTC", Interval::Day, "2026-02-27", "2026-03-01", vec![DAY; 3]),
        ("Europe/Berlin", Interval::Day, "2026-03-28", "2026-03-30", vec![DAY, 23 * 60, DAY]),
        ("Europe/Berlin", Interval::Day, "2026-10-24", "2026-10-26", vec![DAY, 25 * 60, DAY]),
        ("Europe/Berlin", Interval::Hour, "2026-03-29", "2026-03-29", vec![60; 23]),
        ("Europe/Berlin", Interval::Hour, "2026-10-25", "2026-10-25", vec![60; 25]),
        // The clock is put back by half an hour at 2:00: 1:30 to 2:00 comes twice.
        ("Australia/Lord_Howe", Interval::Day, "2026-04-05", "2026-04-05", vec![DAY + 30]),
        ("America/Sao_Paulo", Interval::Day, "2018-11-03", "2018-11-05", vec![DAY, 23 * 60, DAY]),
        // 2011-12-30 never was.
        ("Pacific/Apia", Interval::Day, "2011-12-29", "2011-12-31", vec![DAY, DAY]),
        ("Asia/Kolkata", Interval::Hour, "2026-01-01", "2026-01-01", vec![60; 24]),
        ("UTC", Interval::Week, "2026-11-25", "2026-12-08", vec![5 * DAY, 7 * DAY, 2 * DAY]),
        ("UTC", Interval::Month, "2028-01-31", "2028-03-01", vec![DAY, 29 * DAY, DAY]),
        ("UTC", Interval::Year, "2027-12-31", "2028-12-31", vec![DAY, 366 * DAY]),
    ] {
        assert_eq!(minutes(timezone, interval, first, last), expected, "{timezone} {interval:?} {first}");
    }
    let halves = minutes("Australia/Lord_Howe", Interval::Hour, "2026-04-05", "2026-04-05");
    assert_eq!(halves.iter().sum::<i64>(), DAY + 30);
}

#[test]
fn weeks_start_where_they_are_told_to() {
    let calendar = calendar("UTC");
    let span = Span::of_days(calendar, day("2026-11-22"), day("2026-12-05"));
    let starts = |week_start| -> Vec<String> {
        let buckets = Interval::Week.buckets(calendar, week_start, span);
        buckets.iter().map(|bucket| bucket.from.date_naive().to_string()).collect()
    };
    assert_eq!(starts(Weekday::Mon), ["2026-11-22", "2026-11-23", "2026-11-30"]);
    assert_eq!(starts(Weekday::Sun), ["2026-11-22", "2026-11-29"]);
}

#[test]
fn periods_are_days_of_the_business() {
    let today = day("2028-02-29");
    for (name, first, last) in [
        ("today", "2028-02-29", "2028-02-29"),
        ("yesterday", "2028-02-28", "2028-02-28"),
        ("7d", "2028-02-23", "2028-02-29"),
        ("30d", "2028-01-31", "2028-02-29"),
        ("this_month", "2028-02-01", "2028-02-29"),
        ("last_month", "2028-01-01", "2028-01-31"),
        ("this_year", "2028-01-01", "2028-12-31"),
    ] {
        assert_eq!(Period::named(name).unwrap().days(today), (day(first), day(last)), "{name}");
    }
    assert_eq!(Period::named("1d"), None);
}

#[test]
fn what_a_range_is_compared_with_is_at_the_same_local_times() {
    const BERLIN: &str = "Europe/Berlin";
    // Its clock goes on from midnight to one on 2018-11-04.
    const SAO_PAULO: &str = "America/Sao_Paulo";
    use Comparison::{Previous, PreviousWeek, PreviousYear};
    for (timezone, comparison, first, last, expected_first, expected_last) in [
        (BERLIN, Previous, "2026-11-27", "2026-11-27", "2026-11-26", "2026-11-26"),
        (BERLIN, Previous, "2026-11-21", "2026-11-27", "2026-11-14", "2026-11-20"),
        (BERLIN, Previous, "2026-03-01", "2026-03-31", "2026-02-01", "2026-02-28"),
        (BERLIN, Previous, "2028-01-01", "2028-12-31", "2027-01-01", "2027-12-31"),
        (BERLIN, PreviousWeek, "2026-10-26", "2026-10-27", "2026-10-19", "2026-10-20"),
        (BERLIN, PreviousYear, "2028-02-29", "2028-02-29", "2027-02-28", "2027-02-28"),
        (BERLIN, PreviousYear, "2026-03-29", "2026-03-29", "2025-03-29", "2025-03-29"),
        (SAO_PAULO, Previous, "2018-11-04", "2018-11-04", "2018-11-03", "2018-11-03"),
        (SAO_PAULO, Previous, "2018-11-04", "2018-11-10", "2018-10-28", "2018-11-03"),
        (SAO_PAULO, Previous, "2018-11-01", "2018-11-03", "2018-10-29", "2018-10-31"),
        (SAO_PAULO, Previous, "2018-11-05", "2018-11-06", "2018-11-03", "2018-11-04"),
        (SAO_PAULO, PreviousWeek, "2018-11-04", "2018-11-05", "2018-10-28", "2018-10-29"),
        (SAO_PAULO, PreviousWeek, "2018-11-11", "2018-11-11", "2018-11-04", "2018-11-04"),
        (SAO_PAULO, PreviousYear, "2018-11-04", "2018-11-04", "2017-11-04", "2017-11-04"),
        (SAO_PAULO, PreviousYear, "2019-11-04", "2019-11-05", "2018-11-04", "2018-11-05"),
        ("America/Santiago", Previous, "2024-09-08", "2024-09-08", "2024-09-07", "2024-09-07"),
        ("Africa/Cairo", Previous, "2024-04-26", "2024-04-27", "2024-04-24", "2024-04-25"),
        ("Asia/Beirut", Previous, "2024-03-31", "2024-03-31", "2024-03-30", "2024-03-30"),
        ("America/Havana", PreviousWeek, "2024-03-10", "2024-03-16", "2024-03-03", "2024-03-09"),
        // A month that begins at one.
        ("Asia/Amman", Previous, "2005-04-01", "2005-04-30", "2005-03-01", "2005-03-31"),
        // 2011-12-30 never was.
        ("Pacific/Apia", Previous, "2011-12-31", "2011-12-31", "2011-12-29", "2011-12-29"),
        ("Pacific/Apia", Previous, "2012-01-01", "2012-01-02", "2011-12-31", "2011-12-31"),
        ("Pacific/Apia", PreviousWeek, "2012-01-07", "2012-01-07", "2011-12-31", "2011-12-31"),
    ] {
        let calendar = calendar(timezone);
        let span = Span::of_days(calendar, day(first), day(last));
        let earlier = comparison.shift(calendar, span).span_back(calendar, span);
        let expected = Span::of_days(calendar, day(expected_first), day(expected_last));
        assert_eq!(earlier, expected, "{timezone} {comparison:?} {first} to {last}");
    }
    let calendar = calendar(BERLIN);
    // Two o'clock in the afternoon stays two o'clock, also where a clock was changed between.
    let afternoon = "2026-10-26T13:00:00Z".parse().unwrap();
    assert_eq!(Shift::Days(7).back(calendar, afternoon).to_rfc3339(), "2026-10-19T12:00:00+00:00");
    // Half past two on 2026-03-29 never was: the clock went on from two to three.
    let night = "2026-03-30T00:30:00Z".parse().unwrap();
    assert_eq!(Shift::Days(1).back(calendar, night).to_rfc3339(), "2026-03-29T01:00:00+00:00");
}

#[test]
fn a_range_is_compared_with_one_that_ends_before_it() {
    let calendar = calendar("Europe/Berlin");
    let time = |text: &str| calendar.at_local(text.parse().unwrap());
    for (from, to, earlier_from, earlier_to) in [
        ("2026-11-23T00:00:00", "2026-11-24T12:00:00", "2026-11-21T00:00:00", "2026-11-22T12:00:00"),
        ("2026-11-23T09:00:00", "2026-11-24T09:00:00", "2026-11-22T09:00:00", "2026-11-23T09:00:00"),
        ("2026-11-23T09:00:00", "2026-11-23T12:00:00", "2026-11-22T09:00:00", "2026-11-22T12:00:00"),
        // The clock goes on from two to three on 2026-03-29, so this hour was the day before that.
        ("2026-03-30T02:00:00", "2026-03-30T03:00:00", "2026-03-28T02:00:00", "2026-03-28T03:00:00"),
    ] {
        let span = Span { from: time(from), to: time(to) };
        let earlier = Comparison::Previous.shift(calendar, span).span_back(calendar, span);
        assert_eq!(earlier, Span { from: time(earlier_from), to: time(earlier_to) }, "{from} to {to}");
    }
}

proptest::proptest! {
    #[test]
    fn a_range_and_the_one_before_it_do_not_overlap(
        start in 946_684_800_i64..2_000_000_000,
        hours in 1_i64..200,
        zone in 0..chrono_tz::TZ_VARIANTS.len(),
    ) {
        let calendar = Calendar::new(chrono_tz::TZ_VARIANTS[zone]);
        let time = |seconds| calendar.hour_start(DateTime::from_timestamp(seconds, 0).unwrap().into());
        let span = Span { from: time(start), to: time(start + hours * 3_600) };
        let earlier = Comparison::Previous.shift(calendar, span).span_back(calendar, span);
        proptest::prop_assert!(earlier.to <= span.from && !earlier.is_empty(), "{span:?} {earlier:?}");
    }

    #[test]
    fn hours_nest_in_days_and_days_in_weeks(
        start in 946_684_800_i64..2_000_000_000,
        days in 1_i64..40,
        zone in 0..chrono_tz::TZ_VARIANTS.len(),
    ) {
        let calendar = Calendar::new(chrono_tz::TZ_VARIANTS[zone]);
        let first = DateTime::from_timestamp(start, 0).unwrap().date_naive();
        let span = Span::of_days(calendar, first, first + Days::new(days.unsigned_abs()));
        let starts = |interval: Interval| -> Vec<_> {
            let buckets = interval.buckets(calendar, Weekday::Mon, span);
            buckets.into_iter().map(|bucket| bucket.from).collect()
        };
        let (hours, days, weeks) = (starts(Interval::Hour), starts(Interval::Day), starts(Interval::Week));
        proptest::prop_assert!(days.iter().all(|start| hours.contains(start)));
        proptest::prop_assert!(weeks.iter().all(|start| days.contains(start)));
        for hour in &hours {
            proptest::prop_assert_eq!(calendar.hour_start((*hour).into()), *hour);
        }
    }
}

#[test]
fn ranges_that_overlap_or_touch_are_united() {
    let hour = |hour| DateTime::from_timestamp(hour * 3_600, 0).unwrap();
    let spans = |ends: &[(i64, i64)]| -> Vec<Span> {
        ends.iter().map(|(from, to)| Span { from: hour(*from), to: hour(*to) }).collect()
    };
    for (ranges, united) in [
        (&[][..], &[][..]),
        (&[(5, 5)], &[]),
        (&[(0, 1), (1, 2), (2, 3)], &[(0, 3)]),
        (&[(10, 11), (11, 12), (10, 12), (0, 1), (1, 2), (0, 1)], &[(0, 2), (10, 12)]),
        (&[(0, 9), (2, 3)], &[(0, 9)]),
        (&[(4, 6), (1, 2), (3, 3)], &[(1, 2), (4, 6)]),
    ] {
        assert_eq!(Span::united(&spans(ranges)), spans(united), "{ranges:?}");
    }
}
