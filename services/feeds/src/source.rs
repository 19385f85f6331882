//! Where a feed's documents are: a path below the import folder, or a web address.

use kernel::Refused;
use std::path::{Component, Path, PathBuf};
use url::Url;

/// A source in a form that can be fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// A path below the import folder.
    File(PathBuf),
    /// http or https.
    Web(Url),
}

/// A text that no document can be fetched from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SourceRefusal {
    /// Neither a path nor a web address.
    #[error("the source {text:?} is neither a path nor an http(s) URL: {reason}")]
    Invalid {
        /// What was given.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// It leaves the import folder.
    #[error("the source {text:?} is not below the import folder")]
    OutsideFolder {
        /// What was given.
        text: String,
    },
}

impl Refused for SourceRefusal {
    fn code(&self) -> &'static str {
        match self {
            Self::Invalid { .. } => "feeds.source_invalid",
            Self::OutsideFolder { .. } => "feeds.source_outside_folder",
        }
    }
}

impl Source {
    /// Reads a source; whether a document is there shows when it is fetched.
    pub(crate) fn parse(text: &str) -> Result<Self, SourceRefusal> {
        let text = text.trim();
        if has_scheme(text) { web(text) } else { file(text) }
    }
}

/// `http:`, `file:`, `C:`: what a path below a folder never begins with.
fn has_scheme(text: &str) -> bool {
    text.split_once(':').is_some_and(|(scheme, _)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    })
}

fn web(text: &str) -> Result<Source, SourceRefusal> {
    let invalid = |reason| Err(SourceRefusal::Invalid { text: text.to_owned(), reason });
    let Ok(url) = Url::parse(text) else { return invalid("it is malformed") };
    if !["http", "https"].contains(&url.scheme()) {
        return invalid("its scheme is not http or https");
    }
    // Sources are shown to everyone who may see the feed.
    if !url.username().is_empty() || url.password().is_some() {
        return Err(SourceRefusal::Invalid {
            text: "…@…".to_owned(),
            reason: "it must not hold a name or password",
        });
    }
    Ok(Source::Web(url))
}

fn file(text: &str) -> Result<Source, SourceRefusal> {
    if text.is_empty() || text.contains('\0') {
        return Err(SourceRefusal::Invalid { text: text.to_owned(), reason: "it is no path" });
    }
    let path = Path::new(text);
    let stays = path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if stays {
        Ok(Source::File(path.to_owned()))
    } else {
        Err(SourceRefusal::OutsideFolder { text: text.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::{Source, SourceRefusal};
    use kernel::Refused;

    fn code(text: &str) -> &'static str {
        Source::parse(text).unwrap_err().code()
    }

    #[test]
    fn paths_below_the_folder_and_web_addresses_are_sources() {
        for path in ["list.txt", "debian/list.txt", "./debian/list.txt", "a..b/c d.xml", "…/ü"] {
            assert_eq!(Source::parse(path), Ok(Source::File(path.into())), "{path}");
        }
        for url in [
            "http://127.0.0.1:8080/list",
            "https://salsa.debian.org/list?ref=1",
            " HTTPS://vendor.example/x ",
        ] {
            assert!(matches!(Source::parse(url), Ok(Source::Web(_))), "{url}");
        }
    }

    #[test]
    fn a_path_that_may_leave_the_folder_is_refused() {
        for path in
            ["/etc/passwd", "..", "../list.txt", "debian/../../list.txt", "debian/..", "//server/share"]
        {
            assert_eq!(code(path), "feeds.source_outside_folder", "{path}");
        }
    }

    #[test]
    fn other_schemes_and_broken_addresses_are_refused() {
        for text in [
            "",
            "file:///etc/passwd",
            "ftp://vendor.example/list",
            "C:\\list.txt",
            "http://",
            "https://[::1",
            "data:,x",
        ] {
            assert_eq!(code(text), "feeds.source_invalid", "{text}");
        }
    }

    #[test]
    fn a_password_in_an_address_is_refused_and_not_repeated() {
        let refused = Source::parse("https://ann:secret@vendor.example/list").unwrap_err();
        assert!(matches!(refused, SourceRefusal::Invalid { .. }));
        assert!(!refused.to_string().contains("secret"), "{refused}");
    }
}
