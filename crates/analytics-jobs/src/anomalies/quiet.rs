//! Times that are not judged: holidays, sales days, planned pauses.

use std::fs;

use analytics_core::calendar::{Calendar, date};
use analytics_core::period::Span;
use analytics_process::settings::{Settings, SettingsError};
use chrono::{DateTime, Days, NaiveDateTime, Utc};

const SETTING: &str = "ANOMALY_CALENDAR";

/// Times in which nothing is judged, and from which nothing is learned.
#[derive(Debug, Default)]
pub(super) struct Quiet(Vec<Span>);

impl Quiet {
    /// Reads the file that `ANOMALY_CALENDAR` names, if it is set.
    ///
    /// # Errors
    /// [`SettingsError`] naming the line that cannot be read.
    pub(super) fn load(settings: &Settings, calendar: Calendar) -> Result<Self, SettingsError> {
        let Some(path) = settings.get(SETTING).filter(|path| !path.is_empty()) else { return Ok(Self::default()) };
        let text = fs::read_to_string(path).map_err(|error| {
            SettingsError::invalid(SETTING, format!("the file {path} cannot be read: {}", error.kind()))
        })?;
        Self::parse(&text, calendar).map_err(|line| {
            let problem = "must be FROM[,TO[,NAME]], days such as 2026-12-24 or local times such as 2026-12-24T18:00";
            SettingsError::invalid(SETTING, format!("{path}, line {line}: {problem}"))
        })
    }

    /// Parses lines `FROM[,TO[,NAME]]`: days, of which the last is included, or local times. Empty lines
    /// and those that begin with # are comments. The error is the number of the line.
    fn parse(text: &str, calendar: Calendar) -> Result<Self, usize> {
        let lines = (1..).zip(text.lines().map(str::trim));
        let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        lines.map(|(number, line)| span(line, calendar).ok_or(number)).collect::<Result<_, _>>().map(Self)
    }

    /// Whether a time is within one of them.
    pub(super) fn contains(&self, start: DateTime<Utc>, end: DateTime<Utc>) -> bool {
        self.0.iter().any(|span| start < span.to && span.from < end)
    }
}

fn span(line: &str, calendar: Calendar) -> Option<Span> {
    let mut fields = line.splitn(3, ',').map(str::trim);
    let from = fields.next()?;
    let to = fields.next().filter(|to| !to.is_empty()).unwrap_or(from);
    let (from, to) = (time(from, calendar, 0)?, time(to, calendar, 1)?);
    (from < to).then_some(Span { from, to })
}

/// Returns the start of a day, so many days later, or a local time.
fn time(text: &str, calendar: Calendar, later: u64) -> Option<DateTime<Utc>> {
    if let Some(day) = date(text) {
        return day.checked_add_days(Days::new(later)).map(|day| calendar.day_start(day));
    }
    let formats = ["%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S"];
    let local = formats.into_iter().find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())?;
    Some(calendar.at_local(local))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_whole_and_times_are_local() {
        let calendar = Calendar::new("Europe/Vienna".parse().unwrap());
        let text =
            "# holidays\n2026-12-24,2026-12-26,Christmas, and after\n\n2027-01-01\n2026-11-27T08:00,2026-11-27 09:30\n";
        let quiet = Quiet::parse(text, calendar).unwrap();
        for (time, is_quiet) in [
            ("2026-12-23T22:59:59Z", false),
            ("2026-12-23T23:00:00Z", true),
            ("2026-12-26T22:59:59Z", true),
            ("2026-12-26T23:00:00Z", false),
            ("2027-01-01T10:00:00Z", true),
            ("2026-11-27T06:59:59Z", false),
            ("2026-11-27T07:00:00Z", true),
            ("2026-11-27T08:30:00Z", false),
        ] {
            let at: DateTime<Utc> = time.parse().unwrap();
            assert_eq!(quiet.contains(at, at + chrono::Duration::seconds(1)), is_quiet, "{time}");
        }
        for (text, line) in [("soon", 1), ("\n2026-12-24,2026-12-23", 2), ("2026-12-24,later", 1), ("-262143-01-01", 1)]
        {
            assert_eq!(Quiet::parse(text, calendar).unwrap_err(), line, "{text}");
        }
    }
}
