//! The bytes of files over HTTP, by signed addresses: `PUT` takes a part, `HEAD` says how far it is, `GET` gives it back.

use super::files::{self, FileRow, PART_BYTES_MAX, PartRow};
use super::links::{Link, Purpose};
use super::{Packages, commit, unkept};
use ::web::ApiError;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap};
use actix_web::web::{self, Bytes, BytesMut, Data, Path, Payload, Query, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::{Stream, StreamExt, stream};
use kernel::{PackageId, Scope};
use serde::Serialize;
use std::ops::Range;
use std::time::Duration;
use uuid::Uuid;

/// How long a part may take: at 8 MiB, some 70 kB in a second. Who is slower sends smaller parts.
const PART_DEADLINE: Duration = Duration::from_mins(2);

/// Says where the next part begins.
const OFFSET: &str = "upload-offset";

/// How far a file is.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Progress {
    received: u64,
    size: Option<u64>,
    /// Once it is whole.
    sha256: Option<String>,
}

impl Progress {
    fn of(file: &FileRow) -> Self {
        Self { received: file.received(), size: file.size(), sha256: file.sha256.clone() }
    }
}

/// The routes of bytes.
pub(super) fn routes(packages: &Packages, routes: &mut ServiceConfig) {
    routes.app_data(Data::new(packages.clone())).service(
        web::resource("/packages/{package_id}/files/{name}")
            .route(web::put().to(put))
            .route(web::head().to(head))
            .route(web::get().to(get)),
    );
}

type Place = Path<(Uuid, String)>;

impl Packages {
    fn permit(&self, purpose: Purpose, place: Place, link: &Link) -> Result<(PackageId, String), ApiError> {
        let (package_id, name) = place.into_inner();
        let package_id = PackageId(package_id);
        let now = self.foundation.clock.now();
        self.links.check(purpose, package_id, &name, link, now).map_err(|refusal| {
            ApiError::new(StatusCode::FORBIDDEN, kernel::Refused::code(&refusal), refusal.to_string())
        })?;
        Ok((package_id, name))
    }

    async fn file(&self, package_id: PackageId, name: &str) -> Result<FileRow, ApiError> {
        let mut tx = self.begin(&Scope::Platform).await?;
        let file = files::find(&mut tx, package_id, name).await?;
        commit(tx).await?;
        Ok(file)
    }
}

async fn put(
    packages: Data<Packages>,
    place: Place,
    link: Query<Link>,
    body: Payload,
) -> Result<HttpResponse, ApiError> {
    let (package_id, name) = packages.permit(Purpose::Upload, place, &link)?;
    let file = packages.file(package_id, &name).await?;
    if file.size() != Some(link.size) {
        // It was announced anew since.
        let message = "the file is announced with another size now: ask for another address";
        return Err(ApiError::new(StatusCode::CONFLICT, "feeds.package_link_outdated", message));
    }
    if file.received() != link.offset {
        return Ok(conflict(&file));
    }
    let one_of_few = packages.parts.clone().acquire_owned().await.map_err(ApiError::internal)?;
    let bytes = whole(body).await?;
    if bytes.is_empty() {
        return Err(ApiError::bad_request("feeds.package_part_empty", "the part has no bytes"));
    }
    let appended = packages.append(package_id, &name, link.offset, bytes).await;
    drop(one_of_few);
    match appended {
        Ok(file) => Ok(HttpResponse::Ok()
            .insert_header((OFFSET, file.received().to_string()))
            .json(Progress::of(&file))),
        Err(error) if error.status == StatusCode::CONFLICT => {
            Ok(conflict(&packages.file(package_id, &name).await?))
        }
        Err(error) => Err(error),
    }
}

/// The answer to a part that begins elsewhere, with the place at which the next one has to begin.
fn conflict(file: &FileRow) -> HttpResponse {
    let error = files::wrong_offset(file.received());
    HttpResponse::build(error.status)
        .insert_header((OFFSET, file.received().to_string()))
        .content_type(::web::error::PROBLEM_JSON)
        .body(serde_json::to_string(&error.problem(None)).unwrap_or_default())
}

/// The bytes of a part, within its limits.
async fn whole(mut body: Payload) -> Result<Bytes, ApiError> {
    let reading = async {
        let mut bytes = BytesMut::new();
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|error| {
                ApiError::bad_request("web.body_malformed", format!("the part broke off: {error}"))
            })?;
            if bytes.len() + chunk.len() > PART_BYTES_MAX {
                let message = format!("a part has at most {PART_BYTES_MAX} bytes");
                let status = StatusCode::PAYLOAD_TOO_LARGE;
                return Err(ApiError::new(status, "feeds.package_part_too_large", message));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes.freeze())
    };
    tokio::time::timeout(PART_DEADLINE, reading).await.unwrap_or_else(|_elapsed| {
        let message = format!("the part did not arrive within {} s", PART_DEADLINE.as_secs());
        Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, "web.request_timeout", message))
    })
}

async fn head(packages: Data<Packages>, place: Place, link: Query<Link>) -> Result<HttpResponse, ApiError> {
    let (package_id, name) = packages.permit(Purpose::Upload, place, &link)?;
    let file = packages.file(package_id, &name).await?;
    Ok(HttpResponse::Ok().insert_header((OFFSET, file.received().to_string())).finish())
}

async fn get(
    packages: Data<Packages>,
    place: Place,
    link: Query<Link>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let (package_id, name) = packages.permit(Purpose::Download, place, &link)?;
    let file = packages.file(package_id, &name).await?;
    let size = file.received();
    let Some(sha256) = file.sha256.clone() else {
        return Err(ApiError::new(
            StatusCode::CONFLICT,
            "feeds.package_file_incomplete",
            "the file is not whole",
        ));
    };
    let mut tx = packages.begin(&Scope::Platform).await?;
    let gone: bool =
        sqlx::query_scalar("select p.state <> 'READY' from feeds.package p where p.package_id = $1")
            .bind(package_id.0)
            .fetch_one(&mut *tx)
            .await
            .map_err(unkept)?;
    let parts = files::parts(&mut tx, package_id, &name).await?;
    commit(tx).await?;
    if gone {
        return Err(ApiError::not_found(
            "feeds.package_file_unknown",
            "the package has no such file any more",
        ));
    }
    let wanted = range(request.headers(), size)?;
    let mut response = match &wanted {
        Some(range) => {
            let mut response = HttpResponse::PartialContent();
            let content_range = format!("bytes {}-{}/{size}", range.start, range.end - 1);
            response.insert_header((header::CONTENT_RANGE, content_range));
            response
        }
        None => HttpResponse::Ok(),
    };
    let wanted = wanted.unwrap_or(0..size);
    Ok(response
        .insert_header((header::ACCEPT_RANGES, "bytes"))
        .insert_header((header::ETAG, format!("\"{sha256}\"")))
        .content_type("application/octet-stream")
        .no_chunking(wanted.end - wanted.start)
        .streaming(bytes(packages.get_ref().clone(), parts, wanted)))
}

/// The bytes of a range, part after part.
fn bytes(
    packages: Packages,
    parts: Vec<PartRow>,
    wanted: Range<u64>,
) -> impl Stream<Item = Result<Bytes, ApiError>> {
    let cut = move |part: PartRow| {
        let from = wanted.start.max(part.starts_at());
        let until = wanted.end.min(part.ends_at());
        (from < until).then(|| (from - part.starts_at()..until - part.starts_at(), part.object))
    };
    stream::iter(parts.into_iter().filter_map(cut)).then(move |(range, object)| {
        let storage = packages.storage.clone();
        async move { storage.get(&object, range).await }
    })
}

/// What `range` asks for: from a byte on, or from a byte to another one. Anything else is answered with the whole.
fn range(headers: &HeaderMap, size: u64) -> Result<Option<Range<u64>>, ApiError> {
    let Some(text) = headers.get(header::RANGE).and_then(|value| value.to_str().ok()) else {
        return Ok(None);
    };
    let Some((from, until)) = text.strip_prefix("bytes=").and_then(|text| text.split_once('-')) else {
        return Ok(None);
    };
    let (Ok(from), until) = (from.parse::<u64>(), until.parse::<u64>().ok()) else { return Ok(None) };
    let until = until.map_or(size, |last| last.saturating_add(1).min(size));
    if from >= until {
        let message = format!("the file has {size} bytes");
        return Err(ApiError::new(StatusCode::RANGE_NOT_SATISFIABLE, "feeds.package_range_invalid", message));
    }
    Ok(Some(from..until))
}
