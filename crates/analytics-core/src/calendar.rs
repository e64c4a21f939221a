//! Days and hours as the business sees them: cut in `BUSINESS_TIMEZONE`.

use chrono::{DateTime, Duration, NaiveDate, NaiveTime, TimeZone, Timelike, Utc};
use chrono_tz::Tz;

use crate::time::EventTime;

const MICROS_OF_A_MINUTE: i64 = 60 * 1_000_000;

/// The business's timezone, and the days and hours that it cuts time into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Calendar {
    timezone: Tz,
}

impl Calendar {
    /// A calendar of the given timezone.
    #[must_use]
    pub const fn new(timezone: Tz) -> Self {
        Self { timezone }
    }

    /// The calendar of UTC.
    #[must_use]
    pub const fn utc() -> Self {
        Self::new(Tz::UTC)
    }

    /// The timezone's IANA name, as settings and the database write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.timezone.name()
    }

    /// Which minute since 1970 `time` lies in. All of a minute lies in one hour and one day of every
    /// timezone: since 2000 clocks were put at full minutes only, though not at full quarters (St
    /// John's until 2011).
    #[must_use]
    pub fn minute(time: EventTime) -> i64 {
        time.micros().div_euclid(MICROS_OF_A_MINUTE)
    }

    /// The business day in which `time` lies.
    #[must_use]
    pub fn day(self, time: EventTime) -> NaiveDate {
        time.utc().with_timezone(&self.timezone).date_naive()
    }

    /// The first instant of a business day. Where the clock jumps over midnight it is the
    /// first instant after the jump; where midnight comes twice, the first of the two.
    #[must_use]
    pub fn day_start(self, day: NaiveDate) -> DateTime<Utc> {
        let midnight = day.and_time(NaiveTime::MIN);
        // Jumps end on a quarter of an hour; a whole day was skipped once (Samoa, 2011).
        for quarter in 0..=4 * 25 {
            let local = midnight + Duration::minutes(15 * quarter);
            if let Some(start) = self.timezone.from_local_datetime(&local).earliest() {
                return start.to_utc();
            }
        }
        midnight.and_utc()
    }

    /// The start of the business hour in which `time` lies. Hours begin at full hours of the
    /// local clock, so that they nest in days also where the offset is half an hour.
    #[must_use]
    pub fn hour_start(self, time: EventTime) -> DateTime<Utc> {
        let local = time.utc().with_timezone(&self.timezone);
        let past = Duration::minutes(local.minute().into())
            + Duration::seconds(local.second().into())
            + Duration::nanoseconds(local.nanosecond().into());
        (local - past).to_utc()
    }
}

#[cfg(test)]
mod tests {
    use chrono::Offset;

    use super::*;

    fn at(text: &str) -> EventTime {
        EventTime::from(text.parse::<DateTime<Utc>>().unwrap())
    }

    #[test]
    fn days_and_hours_follow_the_local_clock() {
        for (zone, time, day, day_start, hour_start) in [
            (Tz::UTC, "2026-10-29T23:59:59Z", "2026-10-29", "2026-10-29T00:00:00Z", "2026-10-29T23:00:00Z"),
            (Tz::Asia__Kolkata, "2026-10-29T18:45:10Z", "2026-10-30", "2026-10-29T18:30:00Z", "2026-10-29T18:30:00Z"),
            (
                Tz::America__New_York,
                "2026-11-01T05:30:00Z",
                "2026-11-01",
                "2026-11-01T04:00:00Z",
                "2026-11-01T05:00:00Z",
            ),
            // The second 01:xx of the night in which the clock goes back is an hour of its own.
            (
                Tz::America__New_York,
                "2026-11-01T06:30:00Z",
                "2026-11-01",
                "2026-11-01T04:00:00Z",
                "2026-11-01T06:00:00Z",
            ),
            // Beirut jumps from 00:00 to 01:00: its day begins at 01:00.
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
    fn a_day_that_never_was_starts_with_the_next() {
        let samoa = Calendar::new(Tz::Pacific__Apia);
        let skipped = NaiveDate::from_ymd_opt(2011, 12, 30).unwrap();
        assert_eq!(samoa.day_start(skipped), samoa.day_start(skipped.succ_opt().unwrap()));
    }

    #[test]
    fn since_2000_every_clock_is_put_at_full_minutes_by_full_minutes() {
        const STEP: u16 = 6 * 60 * 60;
        let offset = |zone: Tz, second: i64| {
            let utc = DateTime::from_timestamp(second, 0).unwrap().naive_utc();
            i64::from(zone.offset_from_utc_datetime(&utc).fix().local_minus_utc())
        };
        let mut changes = 0;
        for zone in chrono_tz::TZ_VARIANTS {
            for from in (946_684_800_i64..2_145_916_800).step_by(STEP.into()) {
                let to = from + i64::from(STEP);
                let (before, after) = (offset(zone, from), offset(zone, to));
                assert_eq!(before % 60, 0, "{zone} {from}");
                if before != after {
                    let (mut old, mut new) = (from, to);
                    while new - old > 1 {
                        let between = i64::midpoint(old, new);
                        *if offset(zone, between) == before { &mut old } else { &mut new } = between;
                    }
                    assert_eq!(new % 60, 0, "{zone} {new}");
                    changes += 1;
                }
            }
        }
        assert!(changes > 10_000, "{changes}");
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
}
