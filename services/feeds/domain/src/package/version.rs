//! Which of two versions of a product is newer.

use std::cmp::Ordering;

/// Compares dotted versions part by part: numbers by value, and words below every number, since `2.0.rc1` comes before
/// `2.0.0`. A part that is not there counts as zero.
pub fn compare(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (parts(a), parts(b));
    loop {
        match (a.next(), b.next()) {
            (None, None) => return Ordering::Equal,
            (left, right) => match part(left.unwrap_or("0"), right.unwrap_or("0")) {
                Ordering::Equal => {}
                order @ (Ordering::Less | Ordering::Greater) => return order,
            },
        }
    }
}

fn parts(version: &str) -> impl Iterator<Item = &str> {
    version.split(['.', '-', '_', '+', ' ']).map(str::trim).filter(|part| !part.is_empty())
}

fn part(a: &str, b: &str) -> Ordering {
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    match (is_number(a), is_number(b)) {
        (true, true) => {
            // By length first: a number may be longer than any integer type.
            let (a, b) = (a.trim_start_matches('0'), b.trim_start_matches('0'));
            a.len().cmp(&b.len()).then_with(|| a.cmp(b))
        }
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        (false, false) => a.to_lowercase().cmp(&b.to_lowercase()),
    }
}

#[cfg(test)]
mod tests {
    use super::compare;
    use proptest::prelude::*;
    use std::cmp::Ordering::{Equal, Greater, Less};

    #[test]
    fn numbers_are_compared_by_value_and_words_come_first() {
        for (a, order, b) in [
            ("1.1906.11.52", Less, "1.1907.0.20"),
            ("1.1906.11.52", Greater, "1.1906.9.99"),
            ("1.1906", Equal, "1.1906.0.0"),
            ("01.2", Equal, "1.2"),
            ("2.0.rc1", Less, "2.0.0"),
            ("2.0-RC1", Equal, "2.0.rc1"),
            ("99999999999999999999999", Greater, "99999999999999999999998"),
            ("", Equal, "0"),
        ] {
            assert_eq!(compare(a, b), order, "{a} and {b}");
        }
    }

    proptest! {
        #[test]
        fn it_is_an_order(a in "[0-9a-b.]{0,8}", b in "[0-9a-b.]{0,8}", c in "[0-9a-b.]{0,8}") {
            prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
            if compare(&a, &b) != Greater && compare(&b, &c) != Greater {
                prop_assert_ne!(compare(&a, &c), Greater);
            }
        }
    }
}
