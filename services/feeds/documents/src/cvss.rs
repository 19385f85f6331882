//! Scores of the Common Vulnerability Scoring System, as publishers give them: a vector, a score, or both.

use crate::text::is_plain;
use contracts::feeds::Cvss;

/// The metrics of a base score in each version. Publishers append others (temporal, environmental), which change a
/// score that is not the base score.
const BASE_METRICS: &[(&str, &[&str])] = &[
    ("2.0", &["AV", "AC", "Au", "C", "I", "A"]),
    ("3.0", &["AV", "AC", "PR", "UI", "S", "C", "I", "A"]),
    ("3.1", &["AV", "AC", "PR", "UI", "S", "C", "I", "A"]),
    ("4.0", &["AV", "AC", "AT", "PR", "UI", "VC", "VI", "VA", "SC", "SI", "SA"]),
];

/// What a vector scores, or why it scores nothing.
pub(crate) fn of_vector(vector: &str) -> Result<Cvss, String> {
    let vector = vector.trim();
    if !is_plain(vector) {
        return Err("it is no vector".to_owned());
    }
    let (version, metrics) = split(vector);
    let (_, wanted) = BASE_METRICS
        .iter()
        .find(|(known, _)| *known == version)
        .ok_or_else(|| format!("version {version:?} is not known"))?;
    let mut base = Vec::with_capacity(wanted.len());
    for name in *wanted {
        let mut of_name = metrics.iter().filter(|(metric, _)| metric == name);
        let (_, value) = of_name.next().ok_or_else(|| format!("it has no {name}"))?;
        if of_name.any(|(_, other)| other != value) {
            return Err(format!("it has two {name}"));
        }
        base.push(format!("{name}:{value}"));
    }
    let base = base.join("/");
    let prefixed = format!("CVSS:{version}/{base}");
    let score = match version {
        "2.0" => base.parse::<::cvss::v2::Vector>().map(|vector| vector.score().value()),
        "4.0" => prefixed.parse::<::cvss::v4::Vector>().map(|vector| vector.score().value()),
        _ => prefixed.parse::<::cvss::v3::Vector>().map(|vector| vector.score().value()),
    };
    let score = score.map_err(|error| error.to_string())?;
    let base_score = tenths(score).ok_or_else(|| format!("its score is {score}"))?;
    Ok(Cvss { version: version.to_owned(), vector: vector.to_owned(), base_score })
}

/// What a publisher tells as its own score; where it gives only a vector, that is scored.
pub(crate) fn told(version: &str, vector: &str, base_score: Option<f64>) -> Result<Cvss, String> {
    let vector = vector.trim();
    let Some(score) = base_score else { return of_vector(vector) };
    let base_score = tenths(score).ok_or_else(|| format!("{score} is no score"))?;
    let (named, metrics) = split(vector);
    // Every version asks how near an attacker must be; what does not tell is no vector.
    let is_vector = metrics.iter().any(|(metric, _)| *metric == "AV");
    let version = if version.trim().is_empty() && is_vector { named } else { version.trim() };
    if !BASE_METRICS.iter().any(|(known, _)| *known == version) {
        return Err(format!("version {version:?} is not known"));
    }
    if !vector.is_empty() && !is_plain(vector) {
        return Err("it is no vector".to_owned());
    }
    Ok(Cvss { version: version.to_owned(), vector: vector.to_owned(), base_score })
}

/// The same where the score is a text, and the vector tells the version.
pub(crate) fn written(vector: &str, base_score: &str) -> Result<Cvss, String> {
    let score = base_score.trim().parse().ok();
    told("", vector, Some(score.ok_or_else(|| format!("{base_score:?} is no score"))?))
}

/// Version and metrics. Version 2 has no prefix, and some publishers write it in brackets; others end a vector with `/`.
fn split(vector: &str) -> (&str, Vec<(&str, &str)>) {
    let (version, metrics) = match vector.strip_prefix("CVSS:") {
        Some(rest) => rest.split_once('/').unwrap_or((rest, "")),
        None => ("2.0", vector.trim_start_matches('(').trim_end_matches(')')),
    };
    let metrics = metrics.split('/').filter_map(|metric| metric.split_once(':')).collect();
    (version, metrics)
}

/// `9.8` as 98.
fn tenths(score: f64) -> Option<u8> {
    if !(0.0..=10.0).contains(&score) {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is between 0 and 100")]
    let tenths = (score * 10.0).round() as u8;
    Some(tenths)
}

#[cfg(test)]
mod tests {
    use super::{of_vector, told, written};

    #[test]
    fn vectors_of_every_version_have_their_base_score() {
        for (vector, version, score) in [
            ("AV:N/AC:M/Au:N/C:N/I:P/A:N", "2.0", 43),
            ("(AV:N/AC:L/Au:N/C:C/I:C/A:C)", "2.0", 100),
            ("CVSS:3.0/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N", "3.0", 61),
            ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", "3.1", 98),
            ("CVSS:3.1/AV:L/AC:L/PR:L/UI:N/S:U/C:L/I:L/A:H", "3.1", 66),
            ("CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N", "4.0", 93),
            ("CVSS:4.0/AV:L/AC:L/AT:N/PR:L/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N", "4.0", 85),
            ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N", "3.1", 0),
        ] {
            let cvss = of_vector(vector).unwrap_or_else(|reason| panic!("{vector}: {reason}"));
            assert_eq!((cvss.version.as_str(), cvss.base_score), (version, score), "{vector}");
            assert_eq!(cvss.vector, vector);
        }
    }

    #[test]
    fn what_is_appended_to_a_vector_does_not_change_its_base_score() {
        for (vector, score) in [
            ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H/E:P/RL:O/RC:C/", 98),
            (
                "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N/E:U/MAV:P/CR:L/S:N/U:Amber",
                93,
            ),
            ("AV:N/AC:M/Au:N/C:N/I:P/A:N/E:U/RL:OF/RC:UC/CDP:N/TD:N/CR:L/IR:L/AR:L", 43),
        ] {
            assert_eq!(of_vector(vector).map(|cvss| cvss.base_score), Ok(score), "{vector}");
        }
    }

    #[test]
    fn a_vector_that_cannot_be_scored_says_why() {
        for (vector, reason) in [
            ("", "it is no vector"),
            ("CVSS:5.0/AV:N", "version \"5.0\" is not known"),
            ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H", "it has no A"),
            ("CVSS:3.1/AV:N/AV:L/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", "it has two AV"),
            ("HIGH", "it has no AV"),
        ] {
            assert_eq!(of_vector(vector), Err(reason.to_owned()), "{vector}");
        }
        assert!(of_vector("CVSS:3.1/AV:X/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H").is_err());
    }

    #[test]
    fn a_publishers_own_score_counts_and_a_missing_one_is_computed() {
        let vector = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H";
        assert_eq!(told("3.1", vector, Some(9.1)).map(|cvss| cvss.base_score), Ok(91));
        assert_eq!(told("3.1", vector, None).map(|cvss| cvss.base_score), Ok(98));
        assert_eq!(told("", vector, Some(9.8)).map(|cvss| cvss.version), Ok("3.1".to_owned()));
        assert_eq!(told("4.0", "", Some(5.0)).map(|cvss| cvss.vector), Ok(String::new()));
        assert!(told("3.1", vector, Some(10.1)).is_err());
        assert!(told("3.1", vector, Some(f64::NAN)).is_err());
        assert!(told("1.0", "", Some(5.0)).is_err());
        assert!(told("", "nonsense", Some(5.0)).is_err());
    }

    #[test]
    fn a_score_in_words_is_a_number_between_0_and_10() {
        let vector = "CVSS:3.1/AV:N/AC:L";
        for (text, wanted) in [("8.5", 85), (" 10 ", 100), ("7", 70), ("0.00", 0)] {
            assert_eq!(written(vector, text).map(|cvss| cvss.base_score), Ok(wanted), "{text:?}");
        }
        for text in ["", "11", "10.1", "-1", "8,5", "NaN", "n/a", "8.é"] {
            assert!(written(vector, text).is_err(), "{text:?}");
        }
    }
}
