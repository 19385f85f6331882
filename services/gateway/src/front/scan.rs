//! One pass over the text of a document before it is parsed: its nesting and its tokens.
//!
//! The parser recurses once per bracket, so 256 kB of `{` would overflow the stack and end the process.
//! Brackets in strings and comments do not count. A string without an end is refused here: the parser would
//! read its quotes differently and see brackets that this pass took for text.

use async_graphql::Pos;

use super::limits::BRACKETS_MAX;
use super::refusal::Refusal;

/// Checks that a document can be parsed safely.
pub(super) fn scan(document: &str, tokens_max: usize) -> Result<(), Refusal> {
    let bytes = document.as_bytes();
    let mut at = 0;
    let mut tokens = 0_usize;
    let mut nesting = 0_usize;
    while let Some(&byte) = bytes.get(at) {
        let start = at;
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' | b',' => {
                at += 1;
                continue;
            }
            b'#' => {
                at = end_of_line(bytes, at);
                continue;
            }
            b'"' => {
                at = end_of_string(bytes, at).ok_or_else(|| unterminated(document, start))?;
            }
            b'{' | b'[' | b'(' => {
                nesting += 1;
                if nesting > BRACKETS_MAX {
                    return Err(Refusal::TooDeep { depth: nesting, limit: BRACKETS_MAX });
                }
                at += 1;
            }
            b'}' | b']' | b')' => {
                nesting = nesting.saturating_sub(1);
                at += 1;
            }
            _ if is_word(byte) => {
                at += bytes[at..].iter().take_while(|&&byte| is_word(byte)).count();
            }
            _ => at += 1,
        }
        tokens += 1;
        if tokens > tokens_max {
            return Err(Refusal::TooManyTokens { limit: tokens_max });
        }
    }
    Ok(())
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn end_of_line(bytes: &[u8], from: usize) -> usize {
    bytes[from..]
        .iter()
        .position(|byte| matches!(byte, b'\r' | b'\n'))
        .map_or(bytes.len(), |length| from + length)
}

fn end_of_string(bytes: &[u8], from: usize) -> Option<usize> {
    if bytes[from..].starts_with(b"\"\"\"") {
        end_of_block(bytes, from + 3)
    } else {
        end_of_line_string(bytes, from + 1)
    }
}

fn end_of_block(bytes: &[u8], mut at: usize) -> Option<usize> {
    while at < bytes.len() {
        if bytes[at..].starts_with(b"\"\"\"") {
            return Some(at + 3);
        }
        at += if bytes[at..].starts_with(b"\\\"\"\"") { 4 } else { 1 };
    }
    None
}

fn end_of_line_string(bytes: &[u8], mut at: usize) -> Option<usize> {
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => return Some(at + 1),
            b'\r' | b'\n' => return None,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    None
}

fn unterminated(document: &str, at: usize) -> Refusal {
    let before = &document[..at];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = before.matches('\n').count() + 1;
    let column = before[line_start..].chars().count() + 1;
    Refusal::Syntax { reason: "the string has no end".to_owned(), at: Some(Pos { line, column }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKENS: usize = 1_000;

    #[test]
    fn brackets_in_strings_and_comments_do_not_nest() {
        let text = "[".repeat(BRACKETS_MAX + 1);
        let document =
            format!("{{ a(x: \"{text}\", y: \"\"\"{text}\"{text}\\\"\"\"{text}\"\"\") # {text}\n }}");
        assert_eq!(scan(&document, TOKENS), Ok(()));
    }

    #[test]
    fn brackets_nest_to_the_limit_and_not_beyond() {
        assert_eq!(scan(&"{".repeat(BRACKETS_MAX), TOKENS), Ok(()));
        let refused = Refusal::TooDeep { depth: BRACKETS_MAX + 1, limit: BRACKETS_MAX };
        assert_eq!(scan(&"{".repeat(BRACKETS_MAX + 1), TOKENS), Err(refused));
    }

    #[test]
    fn a_string_without_an_end_is_refused_with_its_place() {
        for document in ["{ a\n (x: \"b", "{ a\n (x: \"b\n\")", "{ a\n (x: \"\"\"b\" [[", "{ a\n (x: \"b\\"] {
            let refused = scan(document, TOKENS).unwrap_err();
            let at = Some(Pos { line: 2, column: 6 });
            assert_eq!(
                refused,
                Refusal::Syntax { reason: "the string has no end".to_owned(), at },
                "{document}"
            );
        }
    }

    #[test]
    fn tokens_are_counted_without_spaces_and_comments() {
        let document = "query Q { a(x: 12, y: \"a b c\") # nothing here\n }";
        assert_eq!(scan(document, 13), Ok(()));
        assert_eq!(scan(document, 12), Err(Refusal::TooManyTokens { limit: 12 }));
    }
}
