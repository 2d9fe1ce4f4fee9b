//! Static files, compiled into the binary: their addresses carry their content's hash, so browsers keep them for ever.
//!
//! The style sheets under `static/css/` are one file for the browser: `css/app.css` names them in order, and is served
//! with all of them joined in its place.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::OnceLock;

use actix_web::http::Method;
use actix_web::http::header::{self, CacheControl, CacheDirective, ETag, EntityTag, IfNoneMatch};
use actix_web::{HttpRequest, HttpResponse, web};
use rust_embed::RustEmbed;
use sha2::{Digest, Sha256};

#[derive(RustEmbed)]
#[folder = "static/"]
struct Static;

/// The style sheet that stands for all of them.
const APP_CSS: &str = "css/app.css";

struct Asset {
    content: Vec<u8>,
    content_type: &'static str,
    /// Of the content, shortened.
    hash: String,
}

fn assets() -> &'static HashMap<String, Asset> {
    static ASSETS: OnceLock<HashMap<String, Asset>> = OnceLock::new();
    ASSETS.get_or_init(|| {
        Static::iter()
            .filter_map(|path| {
                let content = if path == APP_CSS { joined_css() } else { Static::get(&path)?.data.into_owned() };
                let hash = hex::encode(&Sha256::digest(&content)[..8]);
                Some((path.to_string(), Asset { content, content_type: content_type(&path), hash }))
            })
            .collect()
    })
}

/// `app.css` with each `@import` replaced by what it names.
fn joined_css() -> Vec<u8> {
    let text = |path: &str| -> Cow<'static, str> {
        Static::get(path).map_or(Cow::Borrowed(""), |file| String::from_utf8_lossy(&file.data).into_owned().into())
    };
    let mut joined = String::new();
    for line in text(APP_CSS).lines() {
        match line.strip_prefix("@import \"").and_then(|rest| rest.strip_suffix("\";")) {
            Some(name) => joined.push_str(&text(&format!("css/{name}"))),
            None => joined.push_str(line),
        }
        joined.push('\n');
    }
    joined.into_bytes()
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "text/plain; charset=utf-8",
    }
}

/// The address of a file under `static/`: `/static/css/app.css?v=…`. A file that isn't there gets one without a hash,
/// and a test fails.
pub fn href(path: &str) -> String {
    match assets().get(path) {
        Some(asset) => format!("/static/{path}?v={}", asset.hash),
        None => format!("/static/{path}"),
    }
}

/// `GET /static/{path:.*}`.
pub async fn serve(req: HttpRequest, path: web::Path<String>) -> HttpResponse {
    let Some(asset) = assets().get(path.as_str()) else {
        return HttpResponse::NotFound().finish();
    };
    if !matches!(*req.method(), Method::GET | Method::HEAD) {
        return HttpResponse::MethodNotAllowed().insert_header((header::ALLOW, "GET, HEAD")).finish();
    }
    let etag = EntityTag::new_strong(asset.hash.clone());
    let asked_by_hash = req.query_string().strip_prefix("v=") == Some(asset.hash.as_str());
    let cache = CacheControl(if asked_by_hash {
        vec![
            CacheDirective::Public,
            CacheDirective::MaxAge(31_536_000),
            CacheDirective::Extension("immutable".to_owned(), None),
        ]
    } else {
        vec![CacheDirective::NoCache]
    });
    let has_it = match header::Header::parse(&req) {
        Ok(IfNoneMatch::Any) => true,
        // The comparison is the weak one: what compresses the answer may have weakened our tag.
        Ok(IfNoneMatch::Items(tags)) => tags.iter().any(|tag| tag.weak_eq(&etag)),
        Err(_) => false,
    };
    let mut response = if has_it { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response.insert_header(cache).insert_header(ETag(etag));
    if has_it {
        return response.finish();
    }
    response.content_type(asset.content_type).body(asset.content.as_slice())
}

#[cfg(test)]
mod tests {
    use actix_web::http::StatusCode;
    use actix_web::test::{TestRequest, call_service, init_service, read_body};
    use actix_web::{App, dev::ServiceResponse};

    use super::*;

    async fn ask(request: TestRequest) -> ServiceResponse {
        let app = init_service(App::new().route("/static/{path:.*}", web::to(serve))).await;
        call_service(&app, request.to_request()).await
    }

    fn header_of(response: &ServiceResponse, name: header::HeaderName) -> String {
        response.headers().get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
    }

    #[actix_web::test]
    async fn a_file_asked_for_by_its_hash_is_kept_for_ever() {
        let response = ask(TestRequest::get().uri(&href(APP_CSS))).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(header_of(&response, header::CACHE_CONTROL), "public, max-age=31536000, immutable");
        assert_eq!(header_of(&response, header::CONTENT_TYPE), "text/css; charset=utf-8");
        assert!(!header_of(&response, header::ETAG).starts_with("W/"));
    }

    #[actix_web::test]
    async fn a_file_asked_for_by_another_hash_is_checked_each_time() {
        for query in ["", "?v=", "?v=0123456789abcdef"] {
            let response = ask(TestRequest::get().uri(&format!("/static/css/app.css{query}"))).await;
            assert_eq!(header_of(&response, header::CACHE_CONTROL), "no-cache", "{query}");
        }
    }

    #[actix_web::test]
    async fn who_has_the_file_gets_no_body() {
        let etag = header_of(&ask(TestRequest::get().uri("/static/css/app.css")).await, header::ETAG);
        for tag in [etag.clone(), format!("W/{etag}"), format!("\"other\", {etag}")] {
            let request = TestRequest::get().uri("/static/css/app.css").insert_header((header::IF_NONE_MATCH, tag));
            let response = ask(request).await;
            assert_eq!(response.status(), StatusCode::NOT_MODIFIED);
            assert_eq!(header_of(&response, header::ETAG), etag);
            assert!(read_body(response).await.is_empty());
        }
    }

    #[actix_web::test]
    async fn nothing_but_static_files_is_served() {
        for path in ["", "css", "css/none.css", "../Cargo.toml", "..%2fCargo.toml", "/etc/passwd"] {
            let response = ask(TestRequest::get().uri(&format!("/static/{path}"))).await;
            assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
        }
        let response = ask(TestRequest::post().uri("/static/css/app.css")).await;
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    }

    #[test]
    fn every_style_sheet_is_in_the_joined_one() {
        let joined = String::from_utf8(assets()[APP_CSS].content.clone()).unwrap();
        assert!(!joined.contains("@import"));
        for path in Static::iter().filter(|path| path.ends_with(".css") && path != APP_CSS) {
            let part = String::from_utf8(Static::get(&path).unwrap().data.into_owned()).unwrap();
            assert!(joined.contains(&part), "{path} is not in app.css");
        }
    }

    #[test]
    fn files_have_the_right_types() {
        for (path, asset) in assets() {
            let expected = match path.rsplit('.').next() {
                Some("css") => "text/css; charset=utf-8",
                Some("js") => "text/javascript; charset=utf-8",
                Some("svg") => "image/svg+xml",
                _ => "text/plain; charset=utf-8",
            };
            assert_eq!(asset.content_type, expected, "{path}");
        }
    }
}
