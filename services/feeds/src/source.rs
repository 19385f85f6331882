//! Where a feed's documents are: a path below the import folder, or a web address.

use kernel::Refused;
use std::fmt;
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
    /// The import folder is the operator's.
    #[error("a partner's feed comes from an http(s) URL: the import folder is the operator's")]
    OperatorsFolder,
}

impl Refused for SourceRefusal {
    fn code(&self) -> &'static str {
        match self {
            Self::Invalid { .. } => "feeds.source_invalid",
            Self::OutsideFolder { .. } => "feeds.source_outside_folder",
            Self::OperatorsFolder => "feeds.source_operators_folder",
        }
    }
}

impl Source {
    /// Reads a source; whether a document is there shows when it is fetched.
    pub(crate) fn parse(text: &str) -> Result<Self, SourceRefusal> {
        let text = text.trim();
        if has_scheme(text) { web(text) } else { file(text) }
    }

    /// Refuses a partner the import folder, which is the operator's.
    pub(crate) fn require_owner(&self, by_partner: bool) -> Result<(), SourceRefusal> {
        match self {
            Self::File(_) if by_partner => Err(SourceRefusal::OperatorsFolder),
            Self::File(_) | Self::Web(_) => Ok(()),
        }
    }

    /// The place of a list's next page: the same address that begins at another record. A file has one page.
    pub(crate) fn page_from(&self, first: u64) -> Option<Self> {
        let Self::Web(url) = self else { return None };
        // By the text, and not by pairs: some parameters of the address have no value, and must not get one.
        let others = url
            .query()
            .unwrap_or_default()
            .split('&')
            .filter(|part| !part.is_empty() && part.split('=').next() != Some("startIndex"));
        let own = format!("startIndex={first}");
        let query: Vec<&str> = others.chain([own.as_str()]).collect();
        let mut next = url.clone();
        next.set_query(Some(&query.join("&")));
        Some(Self::Web(next))
    }

    /// What the paths in an RPM repository's list are relative to: the list is in `repodata/`, and they begin there.
    pub(crate) fn repository(&self) -> Self {
        const LISTS: &str = "repodata";
        match self {
            Self::Web(url) => {
                let above = url.path().rsplit('/').nth(1) == Some(LISTS);
                above.then(|| url.join("..").ok()).flatten().map_or_else(|| self.clone(), Self::Web)
            }
            Self::File(path) => {
                let folder =
                    path.parent().filter(|folder| folder.file_name().is_some_and(|last| last == LISTS));
                // A file in the folder above, whichever: it is only looked at where it is.
                folder.map_or_else(|| self.clone(), |folder| Self::File(folder.to_owned()))
            }
        }
    }

    /// Whether the document here has this name.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        match self {
            Self::Web(url) => url.path().rsplit('/').next() == Some(name),
            Self::File(path) => path.file_name().is_some_and(|last| last == name),
        }
    }

    /// The place that a document here names: a web address, or a path relative to it. From the web nothing leads to a
    /// file, and from a file only to files below the import folder.
    pub(crate) fn resolve(&self, href: &str) -> Result<Self, SourceRefusal> {
        let invalid = |reason| Err(SourceRefusal::Invalid { text: href.to_owned(), reason });
        match self {
            Self::Web(base) => match base.join(href) {
                Ok(url) => web(url.as_str()),
                Err(_) => invalid("it is malformed"),
            },
            Self::File(_) if has_scheme(href) => web(href),
            Self::File(path) => {
                let folder = path.parent().unwrap_or(Path::new(""));
                match folder.join(href).to_str() {
                    Some(target) => file(target),
                    None => invalid("it is no path"),
                }
            }
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Web(url) => url.fmt(f),
        }
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
    fn a_named_document_is_found_relative_to_the_one_that_names_it() {
        let web = Source::parse("https://vendor.example/csaf/index.json").unwrap();
        assert_eq!(
            web.resolve("2024/a.json").unwrap().to_string(),
            "https://vendor.example/csaf/2024/a.json"
        );
        assert_eq!(web.resolve("https://other.example/a").unwrap().to_string(), "https://other.example/a");
        assert_eq!(web.resolve("file:///etc/passwd").unwrap_err().code(), "feeds.source_invalid");
        let file = Source::parse("rpm/repodata/repomd.xml").unwrap();
        assert_eq!(file.resolve("updateinfo.xml.gz").unwrap().to_string(), "rpm/repodata/updateinfo.xml.gz");
        for href in ["../../../etc/passwd", "/etc/passwd"] {
            assert_eq!(file.resolve(href).unwrap_err().code(), "feeds.source_outside_folder", "{href}");
        }
    }

    #[test]
    fn the_paths_in_a_list_of_an_rpm_repository_begin_at_the_repository() {
        let at =
            |source, href| Source::parse(source).unwrap().repository().resolve(href).unwrap().to_string();
        let web = "https://rpm.example/9/os/repodata/repomd.xml";
        assert_eq!(at(web, "repodata/a.xml"), "https://rpm.example/9/os/repodata/a.xml");
        assert_eq!(at(web, "https://other.example/a.xml"), "https://other.example/a.xml");
        assert_eq!(at("https://rpm.example/repomd.xml", "a.xml"), "https://rpm.example/a.xml");
        assert_eq!(at("rpm/repodata/repomd.xml", "repodata/a.xml"), "rpm/repodata/a.xml");
        assert_eq!(at("repodata/repomd.xml", "repodata/a.xml"), "repodata/a.xml");
        assert_eq!(at("rpm/repomd.xml", "a.xml"), "rpm/a.xml");
    }

    #[test]
    fn the_next_page_is_at_the_same_address_with_another_beginning() {
        let page = |text| Source::parse(text).unwrap().page_from(2_000).map(|next| next.to_string());
        for (from, next) in [
            ("https://nvd.example/cves/2.0", "https://nvd.example/cves/2.0?startIndex=2000"),
            (
                "https://nvd.example/2.0?hasKev&startIndex=0&a=b%20c",
                "https://nvd.example/2.0?hasKev&a=b%20c&startIndex=2000",
            ),
        ] {
            assert_eq!(page(from).as_deref(), Some(next));
        }
        assert_eq!(page("nvd/page.json"), None);
    }

    #[test]
    fn a_password_in_an_address_is_refused_and_not_repeated() {
        let refused = Source::parse("https://ann:secret@vendor.example/list").unwrap_err();
        assert!(matches!(refused, SourceRefusal::Invalid { .. }));
        assert!(!refused.to_string().contains("secret"), "{refused}");
    }
}
