//! A bucket as S3 has it, for one test: path style, signed requests only, ranges, lists, and deletion of several at once.

use actix_web::body::BoxBody;
use actix_web::http::Method;
use actix_web::http::header::{AUTHORIZATION, CONTENT_RANGE, ETAG, LAST_MODIFIED, RANGE};
use actix_web::web::{Bytes, Data};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex};

const CHANGED_AT: &str = "Fri, 13 Nov 2026 08:00:00 GMT";

#[derive(Default)]
struct Kept {
    name: String,
    objects: Mutex<BTreeMap<String, Bytes>>,
    asked: Mutex<Vec<String>>,
}

/// The bucket at work.
pub(super) struct Bucket {
    /// Of the storage.
    pub(super) url: String,
    kept: Arc<Kept>,
}

impl Bucket {
    pub(super) fn serve(name: &str) -> Self {
        let kept = Arc::new(Kept { name: name.to_owned(), ..Kept::default() });
        let data = Data::from(Arc::clone(&kept));
        let app = move || App::new().app_data(data.clone()).default_service(web::to(answer));
        let server = HttpServer::new(app).workers(1).disable_signals().bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", server.addrs()[0]);
        #[expect(clippy::disallowed_methods, reason = "it ends with the test")]
        tokio::spawn(server.run());
        Self { url, kept }
    }

    /// Method and address of every request.
    pub(super) fn asked(&self) -> Vec<String> {
        self.kept.asked.lock().unwrap().clone()
    }

    pub(super) fn keys(&self) -> Vec<String> {
        self.kept.objects.lock().unwrap().keys().cloned().collect()
    }
}

async fn answer(bucket: Data<Kept>, request: HttpRequest, body: Bytes) -> HttpResponse {
    bucket.asked.lock().unwrap().push(format!("{} {}", request.method(), request.uri()));
    if let Some(fault) = fault_of_signature(&request, &body) {
        return HttpResponse::Forbidden().body(fault);
    }
    let path = percent_decoded(request.path());
    let Some(key) = path.strip_prefix(&format!("/{}", bucket.name)) else {
        return HttpResponse::NotFound().body("NoSuchBucket");
    };
    let key = key.trim_start_matches('/').to_owned();
    let mut objects = bucket.objects.lock().unwrap();
    match *request.method() {
        Method::PUT if !key.is_empty() => {
            objects.insert(key, body);
            HttpResponse::Ok().insert_header((ETAG, "\"1\"")).finish()
        }
        Method::GET if key.is_empty() => listed(&objects, &request),
        Method::GET => objects
            .get(&key)
            .map_or_else(|| HttpResponse::NotFound().body("NoSuchKey"), |object| sent(object, &request)),
        Method::DELETE => {
            objects.remove(&key);
            HttpResponse::NoContent().finish()
        }
        Method::POST if request.query_string() == "delete" => {
            let wish = String::from_utf8(body.to_vec()).unwrap();
            let mut answer = "<DeleteResult>".to_owned();
            for key in between(&wish, "<Key>", "</Key>") {
                // One that is not there is deleted as well.
                objects.remove(key);
                write!(answer, "<Deleted><Key>{key}</Key></Deleted>").unwrap();
            }
            HttpResponse::Ok().body(answer + "</DeleteResult>")
        }
        _ => HttpResponse::MethodNotAllowed().finish(),
    }
}

/// What a storage would refuse: a request that is not signed, or another body than was signed.
fn fault_of_signature(request: &HttpRequest, body: &[u8]) -> Option<String> {
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let Some(signed) = header(AUTHORIZATION.as_str()) else { return Some("AccessDenied".to_owned()) };
    let parts = [
        "AWS4-HMAC-SHA256 Credential=AKIATEST/",
        "/eu-test-1/s3/aws4_request",
        "SignedHeaders=",
        "Signature=",
    ];
    if let Some(missing) = parts.iter().find(|part| !signed.contains(**part)) {
        return Some(format!("{missing} is not in {signed}"));
    }
    let hash = Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    let said = header("x-amz-content-sha256").unwrap_or_default();
    (said != hash && said != "UNSIGNED-PAYLOAD").then(|| "XAmzContentSHA256Mismatch".to_owned())
}

fn sent(object: &Bytes, request: &HttpRequest) -> HttpResponse<BoxBody> {
    let range = request.headers().get(RANGE).and_then(|range| range.to_str().ok());
    let range = range.and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
    let mut response = match range {
        None => HttpResponse::Ok(),
        Some(_) => HttpResponse::PartialContent(),
    };
    response.insert_header((ETAG, "\"1\"")).insert_header((LAST_MODIFIED, CHANGED_AT));
    let Some((first, last)) = range else { return response.body(object.clone()) };
    let (first, last) =
        (first.parse::<usize>().unwrap(), last.parse::<usize>().unwrap().min(object.len() - 1));
    response.insert_header((CONTENT_RANGE, format!("bytes {first}-{last}/{}", object.len())));
    response.body(object.slice(first..=last))
}

fn listed(objects: &BTreeMap<String, Bytes>, request: &HttpRequest) -> HttpResponse {
    let query = web::Query::<BTreeMap<String, String>>::from_query(request.query_string()).unwrap();
    let prefix = query.get("prefix").cloned().unwrap_or_default();
    let mut answer = "<ListBucketResult>".to_owned();
    for (key, object) in objects.iter().filter(|(key, _)| key.starts_with(&prefix)) {
        write!(
            answer,
            "<Contents><Key>{key}</Key><Size>{}</Size><LastModified>2026-11-13T08:00:00.000Z</LastModified>\
             <ETag>\"1\"</ETag></Contents>",
            object.len()
        )
        .unwrap();
    }
    HttpResponse::Ok().body(answer + "</ListBucketResult>")
}

fn between<'a>(text: &'a str, start: &'a str, end: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(start).skip(1).filter_map(move |rest| rest.split(end).next())
}

fn percent_decoded(path: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next().unwrap(), rest.next().unwrap()];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).unwrap()
}
