//! A time as people type it: `2026-11-21T03:00:00Z`, a date, or an age such as `90m`.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use std::str::FromStr;

/// A point in time, or how long ago it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    At(DateTime<Utc>),
    Ago(TimeDelta),
}

impl Moment {
    pub(crate) fn before(self, now: DateTime<Utc>) -> DateTime<Utc> {
        match self {
            Self::At(time) => time,
            // An age that reaches before the calendar began means everything.
            Self::Ago(age) => now.checked_sub_signed(age).unwrap_or(DateTime::<Utc>::MIN_UTC),
        }
    }
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(time) = DateTime::parse_from_rfc3339(text) {
            return Ok(Self::At(time.to_utc()));
        }
        if let Ok(date) = text.parse::<NaiveDate>() {
            return Ok(Self::At(date.and_time(chrono::NaiveTime::MIN).and_utc()));
        }
        age(text).map(Self::Ago).ok_or_else(|| {
            format!("{text:?} is no time: write 2026-11-21T03:00:00Z, 2026-11-21, or an age such as 30s, 90m, 12h, 7d")
        })
    }
}

fn age(text: &str) -> Option<TimeDelta> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let number: i64 = number.parse().ok().filter(|number| *number >= 0)?;
    match unit {
        "s" => TimeDelta::try_seconds(number),
        "m" => TimeDelta::try_minutes(number),
        "h" => TimeDelta::try_hours(number),
        "d" => TimeDelta::try_days(number),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::Moment;
    use chrono::{DateTime, TimeDelta, Utc};

    fn at(text: &str) -> DateTime<Utc> {
        DateTime::parse_from_rfc3339(text).unwrap().to_utc()
    }

    #[test]
    fn a_moment_is_a_time_a_date_or_an_age() {
        assert_eq!("2026-11-21T05:00:00+02:00".parse(), Ok(Moment::At(at("2026-11-21T03:00:00Z"))));
        assert_eq!("2026-11-21".parse(), Ok(Moment::At(at("2026-11-21T00:00:00Z"))));
        assert_eq!("90m".parse(), Ok(Moment::Ago(TimeDelta::minutes(90))));
        let now = at("2026-11-21T03:00:00Z");
        assert_eq!("2d".parse::<Moment>().unwrap().before(now), at("2026-11-19T03:00:00Z"));
    }

    #[test]
    fn what_is_no_moment_is_refused_with_examples() {
        for wrong in ["", "m", "-5m", "yesterday", "5", "5y", "99999999999999999999d", "é"] {
            let refused = wrong.parse::<Moment>().unwrap_err();
            assert!(refused.contains("90m"), "{wrong:?}: {refused}");
        }
    }

    #[test]
    fn an_age_beyond_the_calendar_means_everything() {
        let now = at("2026-11-21T03:00:00Z");
        assert_eq!("99999999d".parse::<Moment>().unwrap().before(now), DateTime::<Utc>::MIN_UTC);
    }
}
