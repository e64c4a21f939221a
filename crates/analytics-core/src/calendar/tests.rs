//! Days and hours around the changes of every clock.

use super::*;

fn at(text: &str) -> EventTime {
    EventTime::from(text.parse::<DateTime<Utc>>().unwrap())
}

#[test]
fn days_and_hours_follow_the_local_clock() {
    for (zone, time, day, day_start, hour_start) in [
        (Tz::UTC, "2026-10-29T23:59:59Z", "2026-10-29", "2026-10-29T00:00:00Z", "2026-10-29T23:00:00Z"),
        (Tz::Asia__Kolkata, "2026-10-29T18:45:10Z", "2026-10-30", "2026-10-29T18:30:00Z", "2026-10-29T18:30:00Z"),
        (Tz::America__New_York, "2026-11-01T05:30:00Z", "2026-11-01", "2026-11-01T04:00:00Z", "2026-11-01T05:00:00Z"),
        // The clock is put back: the second hour from 01:00 to 02:00 is a separate hour.
        (Tz::America__New_York, "2026-11-01T06:30:00Z", "2026-11-01", "2026-11-01T04:00:00Z", "2026-11-01T06:00:00Z"),
        // The clock in Beirut is put forward from 00:00 to 01:00: the day begins at 01:00.
        (Tz::Asia__Beirut, "2026-03-28T22:10:00Z", "2026-03-29", "2026-03-28T22:00:00Z", "2026-03-28T22:00:00Z"),
    ] {
        let calendar = Calendar::new(zone);
        let date = calendar.day(at(time));
        assert_eq!(date.to_string(), day, "{zone} {time}");
        assert_eq!(calendar.day_start(date), day_start.parse::<DateTime<Utc>>().unwrap(), "{zone} {time}");
        assert_eq!(calendar.hour_start(at(time)), hour_start.parse::<DateTime<Utc>>().unwrap(), "{zone} {time}");
    }
}

#[test]
fn a_skipped_day_starts_with_the_next() {
    let samoa = Calendar::new(Tz::Pacific__Apia);
    let skipped = NaiveDate::from_ymd_opt(2011, 12, 30).unwrap();
    assert_eq!(samoa.day_start(skipped), samoa.day_start(skipped.succ_opt().unwrap()));
    assert_eq!(samoa.day_ranges(skipped), []);
}

/// Returns the instants from 2000 to 2037 at which a zone's clock is put forward or back.
fn changes(zone: Tz) -> Vec<DateTime<Utc>> {
    let rules = super::changes(zone, at("2000-01-01T00:00:00Z").utc(), at("2038-01-01T00:00:00Z").utc());
    rules.into_iter().skip(1).map(|change| change.starts_at).collect()
}

#[test]
fn since_2000_clocks_change_at_full_minutes_by_full_minutes_hours_apart() {
    let offset = |zone: Tz, second: i64| super::offset(zone, DateTime::from_timestamp(second, 0).unwrap());
    let mut seen = 0;
    for zone in chrono_tz::TZ_VARIANTS {
        let mut last = i64::MIN;
        for change in changes(zone).iter().map(DateTime::timestamp) {
            assert_ne!(offset(zone, change - 1), offset(zone, change), "{zone} {change}");
            assert_eq!(offset(zone, change) % 60, 0, "{zone} {change}");
            assert!(change.saturating_sub(last) > 6 * 60 * 60, "{zone} {change}");
            last = change;
            seen += 1;
        }
    }
    assert!(seen > 10_000, "{seen}");
}

#[test]
fn days_and_hours_agree_around_every_change_of_every_clock() {
    for zone in chrono_tz::TZ_VARIANTS {
        let calendar = Calendar::new(zone);
        for change in changes(zone) {
            for minutes in [-1500, -1440, -720, -61, -60, -59, -31, -30, -29, -1, 0, 1, 29, 30, 31, 59, 60, 61, 1440] {
                for nanos in [-1000, 0] {
                    let time = change + Duration::minutes(minutes) + Duration::nanoseconds(nanos);
                    let say = || format!("{zone} {time}");
                    let day = calendar.day(time.into());
                    let ranges = calendar.day_ranges(day);
                    assert_eq!(ranges.iter().filter(|range| range.contains(&time)).count(), 1, "{}", say());
                    assert_eq!(calendar.day_start(day), ranges[0].start, "{}", say());
                    assert!(ranges.is_sorted_by(|a, b| a.end < b.start), "{}", say());
                    let hour = calendar.hour_start(time.into());
                    assert!(hour <= time && time - hour < Duration::hours(1), "{}", say());
                    assert_eq!(calendar.hour_start(hour.into()), hour, "{}", say());
                    assert_eq!(calendar.day(hour.into()), day, "{}", say());
                    assert_eq!(calendar.offset(hour), calendar.offset(time), "an hour has one offset: {}", say());
                }
            }
            days_are_all_of_time(calendar, calendar.day(change.into()));
        }
    }
}

/// Checks that the days around this one have no gaps between them and do not overlap.
fn days_are_all_of_time(calendar: Calendar, day: NaiveDate) {
    let days = (-2..=2).map(|offset| day + Duration::days(offset));
    let mut ranges: Vec<_> = days.flat_map(|day| calendar.day_ranges(day)).collect();
    ranges.sort_by_key(|range| range.start);
    assert!(ranges.is_sorted_by(|a, b| a.end == b.start), "{} {day}: {ranges:?}", calendar.name());
}

#[test]
fn a_day_may_consist_of_two_ranges() {
    let calendar = Calendar::new(Tz::America__St_Johns);
    let utc = |text: &str| at(text).utc();
    let day = |text: &str| text.parse::<NaiveDate>().unwrap();
    assert_eq!(calendar.day(at("2010-11-07T02:31:30Z")), day("2010-11-06"));
    assert_eq!(
        calendar.day_ranges(day("2010-11-06")),
        [
            utc("2010-11-06T02:30:00Z")..utc("2010-11-07T02:30:00Z"),
            utc("2010-11-07T02:31:00Z")..utc("2010-11-07T03:30:00Z"),
        ]
    );
    assert_eq!(
        calendar.day_ranges(day("2010-11-07")),
        [
            utc("2010-11-07T02:30:00Z")..utc("2010-11-07T02:31:00Z"),
            utc("2010-11-07T03:30:00Z")..utc("2010-11-08T03:30:00Z"),
        ]
    );
    assert_eq!(calendar.hour_start(at("2010-11-07T02:31:30Z")), utc("2010-11-07T02:31:00Z"));
    assert_eq!(calendar.hour_start(at("2010-11-07T02:30:30Z")), utc("2010-11-07T02:30:00Z"));
}

#[test]
fn the_rules_are_those_of_the_tz_database() {
    for zone in chrono_tz::TZ_VARIANTS {
        let calendar = Calendar::new(zone);
        // Every 17 days and some, to 2099.
        for second in (FIRST.timestamp()..LAST.timestamp()).step_by(1_500_007) {
            let time = DateTime::from_timestamp(second, 0).unwrap();
            assert_eq!(calendar.offset(time).num_seconds(), i64::from(super::offset(zone, time)), "{zone} {time}");
        }
    }
}

#[test]
fn stored_rules_decide_instead_of_those_of_the_program() {
    let calendar = Calendar::new(Tz::Europe__Berlin);
    let copy = calendar;
    let winter = at("2026-01-01T23:30:00Z");
    assert_eq!(copy.day(winter).to_string(), "2026-01-02");
    calendar.follow(vec![]);
    assert_eq!(copy.day(winter).to_string(), "2026-01-02", "nothing is stored");
    let utc = ClockChange { starts_at: FIRST, utc_offset: 0 };
    let east = ClockChange { starts_at: at("2026-06-01T00:30:00Z").utc(), utc_offset: 19_800 };
    calendar.follow(vec![utc, east]);
    assert_eq!(copy.day(winter).to_string(), "2026-01-01");
    assert_eq!(copy.day_start(copy.day(winter)), at("2026-01-01T00:00:00Z").utc());
    assert_eq!(copy.hour_start(at("2026-06-01T00:31:00Z")), east.starts_at);
    assert_eq!(copy.hour_start(at("2026-06-01T00:29:00Z")), at("2026-06-01T00:00:00Z").utc());
}

proptest::proptest! {
    #[test]
    fn hours_nest_in_days(micros in 946_684_800_000_000_i64..2_000_000_000_000_000, zone in 0..chrono_tz::TZ_VARIANTS.len()) {
        let calendar = Calendar::new(chrono_tz::TZ_VARIANTS[zone]);
        let time = EventTime::from_micros(micros);
        let hour = calendar.hour_start(time);
        proptest::prop_assert!(hour <= time.utc());
        proptest::prop_assert!(calendar.day_start(calendar.day(time)) <= time.utc());
        proptest::prop_assert_eq!(calendar.day(hour.into()), calendar.day(time));
    }
}
