//! Dates as publishers write them.

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, NaiveTime, Utc};

/// Years in which a patch can have been published; others are slips or stand for "none" (`0001-01-01`).
const YEARS: std::ops::Range<i32> = 1990..2100;

/// An instant: RFC 3339, the same without a zone (then UTC), with a blank instead of `T`, or a day alone.
pub fn instant(text: &str) -> Option<DateTime<Utc>> {
    let text = text.trim();
    let read = DateTime::parse_from_rfc3339(text).map(|date| date.with_timezone(&Utc)).ok();
    let read = read.or_else(|| {
        ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"]
            .iter()
            .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())
            .map(|date| date.and_utc())
    });
    let read =
        read.or_else(|| DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f%z").ok().map(|d| d.to_utc()));
    read.or_else(|| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().map(midnight)).filter(is_credible)
}

/// Seconds since 1970, in UTC.
pub fn epoch(seconds: i64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(seconds, 0).filter(is_credible)
}

/// RFC 2822, as Debian's `Release` files have it; `UTC` and `GMT` are the same there.
pub fn rfc2822(text: &str) -> Option<DateTime<Utc>> {
    let text = text.trim().replace("UTC", "+0000").replace("GMT", "+0000");
    DateTime::parse_from_rfc2822(&text).ok().map(|date| date.to_utc()).filter(is_credible)
}

/// A day written in one of these forms of [`chrono::format::strftime`].
pub fn day(text: &str, forms: &[&str]) -> Option<NaiveDate> {
    let text = text.trim();
    let read = forms.iter().find_map(|form| NaiveDate::parse_from_str(text, form).ok());
    read.filter(|day| YEARS.contains(&day.year()))
}

/// The beginning of a day in UTC.
pub fn midnight(day: NaiveDate) -> DateTime<Utc> {
    day.and_time(NaiveTime::MIN).and_utc()
}

fn is_credible(date: &DateTime<Utc>) -> bool {
    YEARS.contains(&date.year())
}

#[cfg(test)]
mod tests {
    use super::{instant, rfc2822};

    #[test]
    fn dates_come_in_many_forms() {
        let wanted = instant("2024-01-09T08:00:00Z");
        assert!(wanted.is_some());
        for text in [
            "2024-01-09T08:00:00",
            "2024-01-09 08:00:00",
            " 2024-01-09T08:00:00.000Z ",
            "2024-01-09 08:00",
            "2024-01-09T10:00:00+02:00",
            "2024-01-09T10:00:00+0200",
        ] {
            assert_eq!(instant(text), wanted, "{text:?}");
        }
        assert_eq!(rfc2822("Tue, 09 Jan 2024 08:00:00 UTC"), wanted);
    }

    #[test]
    fn what_nobody_can_have_meant_is_no_date() {
        for text in ["", "soon", "0001-01-01T00:00:00", "9999-12-31T00:00:00Z", "2024-02-30"] {
            assert_eq!(instant(text), None, "{text:?}");
        }
    }
}
