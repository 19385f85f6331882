//! Media types: which answer a client accepts, and whether its body is one we read.

use actix_web::http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName};

use super::refusal::Refusal;

/// Kinds of answer to an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// `application/graphql-response+json`: the status says whether the operation was carried out.
    GraphqlResponse,
    /// `application/json`: 200 for everything that is a GraphQL answer.
    Json,
    /// `text/event-stream`: events of one operation.
    EventStream,
}

impl Format {
    pub(super) fn media_type(self) -> &'static str {
        match self {
            Self::GraphqlResponse => "application/graphql-response+json; charset=utf-8",
            Self::Json => "application/json; charset=utf-8",
            Self::EventStream => "text/event-stream; charset=utf-8",
        }
    }
}

/// Chooses the format the client likes best; clients that do not care get plain JSON.
pub(super) fn format(headers: &HeaderMap) -> Result<Format, Refusal> {
    let accept = joined(headers, &ACCEPT);
    if accept.trim().is_empty() {
        return Ok(Format::Json);
    }
    let mut best: Option<(f32, Format)> = None;
    for range in accept.split(',').map(MediaRange::parse) {
        let format = match range.media_type.as_str() {
            "application/graphql-response+json" => Format::GraphqlResponse,
            "application/json" | "application/*" | "*/*" => Format::Json,
            "text/event-stream" => Format::EventStream,
            _ => continue,
        };
        // The first of equally liked types wins.
        if range.quality > best.map_or(0.0, |(quality, _)| quality) && range.is_utf8 {
            best = Some((range.quality, format));
        }
    }
    best.map(|(_, format)| format).ok_or(Refusal::NotAcceptable { accept })
}

/// Tells whether a browser asks for a page.
pub(super) fn wants_page(headers: &HeaderMap) -> bool {
    joined(headers, &ACCEPT).split(',').any(|range| MediaRange::parse(range).media_type == "text/html")
}

/// Insists on JSON, which a foreign web page cannot send without asking the browser first.
pub(super) fn require_json_body(headers: &HeaderMap) -> Result<(), Refusal> {
    let content_type = joined(headers, &CONTENT_TYPE);
    let range = MediaRange::parse(&content_type);
    match range.media_type.as_str() {
        "application/json" if range.is_utf8 => Ok(()),
        "" => Err(Refusal::UnsupportedContentType { content_type: "nothing".to_owned() }),
        _ => Err(Refusal::UnsupportedContentType { content_type }),
    }
}

fn joined(headers: &HeaderMap, name: &HeaderName) -> String {
    headers.get_all(name).filter_map(|value| value.to_str().ok()).collect::<Vec<_>>().join(", ")
}

struct MediaRange {
    media_type: String,
    quality: f32,
    is_utf8: bool,
}

impl MediaRange {
    fn parse(text: &str) -> Self {
        let mut parts = text.split(';').map(str::trim);
        let media_type = parts.next().unwrap_or_default().to_ascii_lowercase();
        let mut range = Self { media_type, quality: 1.0, is_utf8: true };
        for (name, value) in parts.filter_map(|parameter| parameter.split_once('=')) {
            let value = value.trim().trim_matches('"');
            match name.trim().to_ascii_lowercase().as_str() {
                "q" => range.quality = value.parse().unwrap_or(0.0),
                "charset" => {
                    range.is_utf8 = value.eq_ignore_ascii_case("utf-8") || value.eq_ignore_ascii_case("utf8");
                }
                _ => {}
            }
        }
        range
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn accepting(accept: &'static str) -> Result<Format, Refusal> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        format(&headers)
    }

    #[test]
    fn the_best_liked_type_wins_and_then_the_first() {
        assert_eq!(
            accepting("application/json;q=0.5, application/graphql-response+json"),
            Ok(Format::GraphqlResponse)
        );
        assert_eq!(accepting("application/json, application/graphql-response+json"), Ok(Format::Json));
        assert_eq!(accepting("text/html, text/event-stream"), Ok(Format::EventStream));
        assert_eq!(accepting("*/*"), Ok(Format::Json));
        assert_eq!(format(&HeaderMap::new()), Ok(Format::Json));
    }

    #[test]
    fn types_of_no_worth_are_not_acceptable() {
        for accept in
            ["text/html", "application/json;q=0", "application/json; charset=iso-8859-1", "nonsense"]
        {
            assert_eq!(accepting(accept), Err(Refusal::NotAcceptable { accept: accept.to_owned() }));
        }
    }
}
