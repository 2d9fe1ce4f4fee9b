//! Handlers of the files in a bucket: out of it, looked at, renamed, deleted.

use actix_web::body::{BoxBody, SizedStream};
use actix_web::http::{Method, StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, web};
use chrono::{DateTime, Utc};
use futures::StreamExt;
use percent_encoding::percent_decode_str;
use serde::Deserialize;

use super::{back_to, load, load_usable, soon};
use crate::app::App;
use crate::buckets::archive::{self, Contents};
use crate::buckets::kinds::{self, PREVIEW_BYTES, Preview};
use crate::buckets::model::links::ShareLink;
use crate::buckets::model::removals::Removal;
use crate::buckets::model::{self, Bucket, uploading};
use crate::buckets::present::Context;
use crate::buckets::views::{DeleteObjectsPage, FilePage};
use crate::buckets::{file_path, forms, object_path, work};
use crate::cloud::CloudError;
use crate::cloud::objects::{Download, DownloadKind, GetQuery, ObjectInfo, ObjectKey, ObjectStore};
use crate::cloud_services::{self, CloudService};
use crate::error::{Error, Result};
use crate::web::body::Fields;
use crate::web::format;
use crate::web::page::{Field, Menu};
use crate::web::reader::{CurrentAccount, Reader};
use crate::web::respond::{html, notice, see_other, with_status};

/// What a file that somebody stored may do in a browser: nothing.
const CSP: &str = "sandbox; default-src 'none'";
/// Tools compare a file's MD5 with its etag, unless this is said.
pub(super) const LARGE: (&str, &str) = ("x-static-large-object", "True");
/// Files that are asked for at once.
const AT_ONCE: usize = 8;

/// A name as it stands in a query; what can't be one does not exist.
fn key(text: &str) -> Result<ObjectKey> {
    ObjectKey::parse(text).map_err(|_| Error::NotFound)
}

/// The name in the path, read from what was really sent: a router would take some of it apart.
fn key_of(request: &HttpRequest) -> Result<ObjectKey> {
    let path = request.uri().path();
    let rest = path.split_once("/objects/").map(|(_, rest)| rest).unwrap_or_default();
    let text = percent_decode_str(rest).decode_utf8().map_err(|_| Error::NotFound)?;
    key(&text)
}

/// `attachment` with the name twice: for everybody, and for those who know RFC 6266 with all its letters.
fn attachment(name: &str) -> String {
    let plain: String = name
        .chars()
        .map(|c| if c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '%') || c == ' ' { c } else { '_' })
        .collect();
    let all = percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC);
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{all}")
}

fn http_date(at: DateTime<Utc>) -> String {
    at.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

fn query_of(request: &HttpRequest) -> GetQuery {
    let text = |name: header::HeaderName| request.headers().get(name)?.to_str().ok().map(str::to_owned);
    GetQuery {
        range: text(header::RANGE),
        if_range: text(header::IF_RANGE),
        if_match: text(header::IF_MATCH),
        if_none_match: text(header::IF_NONE_MATCH),
        if_modified_since: text(header::IF_MODIFIED_SINCE),
        if_unmodified_since: text(header::IF_UNMODIFIED_SINCE),
    }
}

/// The headers of every answer with a file.
fn begin(status: StatusCode, key: &ObjectKey, etag: &str, modified: Option<DateTime<Utc>>) -> HttpResponseBuilder {
    let mut response = HttpResponse::build(status);
    response
        .insert_header((header::CONTENT_SECURITY_POLICY, CSP))
        .insert_header((header::CONTENT_DISPOSITION, attachment(key.file_name())))
        .insert_header((header::ACCEPT_RANGES, "bytes"))
        // It may be another one next time, and asking costs little.
        .insert_header((header::CACHE_CONTROL, "private, no-cache"))
        // As it is stored: not compressed on the way out.
        .insert_header((header::CONTENT_ENCODING, "identity"));
    if !etag.is_empty() {
        response.insert_header((header::ETAG, format!("\"{etag}\"")));
    }
    if let Some(modified) = modified {
        response.insert_header((header::LAST_MODIFIED, http_date(modified)));
    }
    response
}

/// A file, or a part of it, or that it has not changed: what the store answers to the request's headers.
///
/// # Errors
/// Not found; the store's.
pub(super) async fn send(
    store: &dyn ObjectStore,
    request: &HttpRequest,
    container: &str,
    key: &ObjectKey,
) -> Result<HttpResponse> {
    if request.method() == Method::HEAD {
        return Ok(head(&store.head(container, key).await?, request, key));
    }
    let download = store.get(container, key, &query_of(request)).await?;
    let Download { kind, length, etag, content_type, modified, large, body } = download;
    let (status, range) = match kind {
        DownloadKind::Whole => (StatusCode::OK, None),
        DownloadKind::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
        DownloadKind::NotModified => (StatusCode::NOT_MODIFIED, None),
        DownloadKind::ConditionFailed => (StatusCode::PRECONDITION_FAILED, None),
        DownloadKind::NotSatisfiable(range) => (StatusCode::RANGE_NOT_SATISFIABLE, range),
    };
    let mut response = begin(status, key, &etag, modified);
    if large {
        response.insert_header(LARGE);
    }
    if let Some(range) = range {
        response.insert_header((header::CONTENT_RANGE, range));
    }
    if !status.is_success() {
        return Ok(response.finish());
    }
    response.insert_header((header::CONTENT_TYPE, content_type));
    Ok(match length {
        Some(length) => response.body(SizedStream::new(length, body)),
        None => response.streaming(body),
    })
}

fn head(info: &ObjectInfo, request: &HttpRequest, key: &ObjectKey) -> HttpResponse {
    let same = request.headers().get(header::IF_NONE_MATCH).and_then(|tag| tag.to_str().ok());
    if same.is_some_and(|tag| tag.trim_matches('"') == info.etag) {
        return begin(StatusCode::NOT_MODIFIED, key, &info.etag, info.modified).finish();
    }
    let mut response = begin(StatusCode::OK, key, &info.etag, info.modified);
    response.insert_header((header::CONTENT_TYPE, info.content_type.clone()));
    if info.large {
        response.insert_header(LARGE);
    }
    let nothing = futures::stream::empty::<std::result::Result<web::Bytes, CloudError>>();
    response.body(BoxBody::new(SizedStream::new(info.bytes, nothing)))
}

/// `GET /buckets/{name}/objects/{key}`: the file itself.
pub async fn download(
    reader: Reader,
    request: HttpRequest,
    account: CurrentAccount,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse> {
    let bucket = load_usable(&reader, account.id, &path.0).await?;
    send(reader.app.objects.as_ref(), &request, &bucket.name, &key_of(&request)?).await
}

#[derive(Debug, Deserialize)]
pub struct FileQuery {
    #[serde(default)]
    key: String,
}

/// `GET /buckets/{name}/file?key=`: a file's page.
pub async fn file(
    reader: Reader,
    account: CurrentAccount,
    path: web::Path<String>,
    query: web::Query<FileQuery>,
) -> Result<HttpResponse> {
    let bucket = load_usable(&reader, account.id, &path).await?;
    let key = key(&query.key)?;
    html(&file_page(&reader, &bucket, &key, Field::of(key.as_str())).await?)
}

async fn file_page(reader: &Reader, bucket: &Bucket, key: &ObjectKey, to: Field) -> Result<FilePage> {
    let info = soon(reader.app.objects.head(&bucket.name, key)).await?;
    let (id, of) = (bucket.id, key.clone());
    let (links, service) = reader
        .app
        .db
        .run(move |conn| {
            Ok((ShareLink::list(conn, id, Some(&of))?, CloudService::load(conn, cloud_services::OBJECTS)?))
        })
        .await?;
    let (preview, name) = (kinds::preview(key.as_str()), key.file_name().to_owned());
    let text = if preview == Preview::Text { beginning(reader, bucket, key).await } else { None };
    let context = Context::new(reader.lang, &reader.app, &service);
    let (kind, zone) = (kinds::kind(key.as_str()), reader.app.config.server.time_zone);
    let modified = info.modified.map(|at| at.naive_utc());
    let most = reader.app.config.buckets.share_days;
    let day = |n: u32| (n, reader.lang.t1("buckets.links.days", "n", n).into_owned());
    Ok(FilePage {
        bucket: bucket.name.clone(),
        crumbs: context.crumbs(&bucket.name, key.folder(), Some(&name)),
        folder_href: back_to(&bucket.name, key.folder()),
        kind: reader.lang.t(&format!("file_kinds.{}", kind.name)).into_owned(),
        icon: kind.icon,
        size: format::bytes(info.bytes),
        modified: modified.map(|at| format::when(reader.lang, at, context.now, zone)).unwrap_or_default(),
        modified_at: modified.map(|at| format::full(at, zone)).unwrap_or_default(),
        content_type: info.content_type,
        etag: info.etag,
        large: info.large,
        download_href: object_path(&bucket.name, key.as_str()),
        image_href: if preview == Preview::Image { object_path(&bucket.name, key.as_str()) } else { String::new() },
        text_cut: text.is_some() && info.bytes > PREVIEW_BYTES,
        text,
        links: links.iter().filter_map(|link| context.link(&bucket.name, link)).collect(),
        days: [1, 7, 30].into_iter().filter(|n| *n <= most || *n == 1).map(day).collect(),
        to,
        delete_href: format!("/buckets/{}/objects/delete?key={}", bucket.name, crate::buckets::in_query(key.as_str())),
        key: key.as_str().to_owned(),
        name,
        page: reader.page(Menu::Buckets),
    })
}

/// The beginning of a text, if it is one. What can't be had is left out of the page.
async fn beginning(reader: &Reader, bucket: &Bucket, key: &ObjectKey) -> Option<String> {
    let read = async {
        let query = GetQuery::beginning(PREVIEW_BYTES);
        let mut download = reader.app.objects.get(&bucket.name, key, &query).await?;
        let mut bytes = Vec::new();
        while let Some(piece) = download.body.next().await {
            bytes.extend_from_slice(&piece?);
            if bytes.len() as u64 >= PREVIEW_BYTES {
                break;
            }
        }
        bytes.truncate(usize::try_from(PREVIEW_BYTES).unwrap_or(usize::MAX));
        Ok::<_, CloudError>(bytes)
    };
    let bytes = soon(read).await.inspect_err(|error| tracing::warn!(%error, "a text could not be looked at")).ok()?;
    if bytes.contains(&0) {
        return None;
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// Every `key` of a query, in order.
fn keys_in(request: &HttpRequest) -> Vec<String> {
    let pairs = url::form_urlencoded::parse(request.query_string().as_bytes());
    pairs.filter(|(name, _)| name == "key").map(|(_, value)| value.into_owned()).collect()
}

/// The folder that all of them are in.
fn common_folder(keys: &[String]) -> String {
    let folder = |key: &String| ObjectKey::parse(key.as_str()).map(|key| key.folder().to_owned()).unwrap_or_default();
    let mut folders = keys.iter().map(folder);
    let first = folders.next().unwrap_or_default();
    if folders.all(|folder| folder == first) { first } else { String::new() }
}

/// `GET /buckets/{name}/objects/delete?key=…`: the question; without a key, the file of this name.
pub async fn confirm_delete(
    reader: Reader,
    request: HttpRequest,
    account: CurrentAccount,
    path: web::Path<String>,
) -> Result<HttpResponse> {
    let keys = keys_in(&request);
    if !request.query_string().contains("key=") {
        let bucket = load_usable(&reader, account.id, &path).await?;
        return send(reader.app.objects.as_ref(), &request, &bucket.name, &key_of(&request)?).await;
    }
    let bucket = load_usable(&reader, account.id, &path).await?;
    if keys.iter().all(|key| key.is_empty()) {
        return Ok(see_other(&back_to(&bucket.name, "")));
    }
    let folders = keys.iter().filter(|key| key.ends_with('/')).count();
    let files = keys.len() - folders;
    let values = [("files", files.to_string()), ("folders", folders.to_string())];
    let values: Vec<(&str, &str)> = values.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let what = match (files, folders) {
        (_, 0) => "buckets.delete_objects.files",
        (0, _) => "buckets.delete_objects.folders",
        _ => "buckets.delete_objects.both",
    };
    let prefix = common_folder(&keys);
    html(&DeleteObjectsPage {
        back: back_to(&bucket.name, &prefix),
        what: reader.lang.tv(what, &values).into_owned(),
        has_folders: folders > 0,
        bucket: bucket.name,
        prefix,
        keys,
        page: reader.page(Menu::Buckets),
    })
}

/// `POST /buckets/{name}/objects/delete`: fields `key`, repeated. Folders (with `/` at the end) go beside the requests.
pub async fn delete(
    reader: Reader,
    account: CurrentAccount,
    path: web::Path<String>,
    fields: Fields,
) -> Result<HttpResponse> {
    let bucket = load_usable(&reader, account.id, &path).await?;
    let keys: Vec<String> = fields.all("key").filter(|key| !key.is_empty()).map(str::to_owned).collect();
    if keys.is_empty() {
        return Err(Error::BadRequest("no key".to_owned()));
    }
    let (folders, files): (Vec<String>, Vec<String>) = keys.iter().cloned().partition(|key| key.ends_with('/'));
    let parsed: Vec<ObjectKey> = files.iter().map(|name| key(name)).collect::<Result<_>>()?;
    let folders: Vec<String> =
        folders.iter().map(|name| forms::prefix(name).ok_or(Error::NotFound)).collect::<Result<_>>()?;
    if !parsed.is_empty() {
        delete_files(&reader.app, &bucket, &parsed).await?;
    }
    if !folders.is_empty() {
        let of = bucket.clone();
        reader
            .app
            .db
            .run(move |conn| {
                for prefix in &folders {
                    Removal::request(conn, &of, prefix)?;
                }
                Ok(())
            })
            .await?;
        reader.app.work.notify_one();
    }
    let target = back_to(&bucket.name, &common_folder(&keys));
    let mut response = see_other(&target);
    notice(&mut response, &reader, "notice.objects_deleted", &keys.len().to_string())?;
    Ok(response)
}

/// Deletes files; those that are gone already are no error.
///
/// # Errors
/// The store's and the database's.
pub(super) async fn delete_files(app: &web::Data<App>, bucket: &Bucket, keys: &[ObjectKey]) -> Result<()> {
    let store = app.objects.clone();
    let sizes: Vec<std::result::Result<ObjectInfo, CloudError>> = futures::stream::iter(keys.to_vec())
        .map(|key| {
            let (store, container) = (store.clone(), bucket.name.clone());
            async move { store.head(&container, &key).await }
        })
        .buffered(AT_ONCE)
        .collect()
        .await;
    let (mut bytes, mut objects, mut large) = (0_u64, 0_u64, false);
    for info in sizes {
        match info {
            Ok(info) => {
                bytes += info.bytes;
                objects += 1;
                large |= info.large;
            }
            Err(CloudError::NotFound(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let names: Vec<String> = keys.iter().map(|key| key.as_str().to_owned()).collect();
    let (id, discarded) = (bucket.id, names.clone());
    if large {
        app.db.run(move |conn| Ok(uploading::discard(conn, id, &discarded)?)).await?;
    }
    let deleted = match keys {
        [only] => store.delete(&bucket.name, only).await,
        _ => store.delete_many(&bucket.name, &names).await,
    };
    let gone = deleted.is_ok();
    let (bytes, objects) = if gone { (model_signed(bytes), model_signed(objects)) } else { (0, 0) };
    app.db.run(move |conn| Ok(model::changed(conn, id, -bytes, -objects)?)).await?;
    if large {
        crate::buckets::upload::sweep_soon(&app.clone().into_inner());
    }
    Ok(deleted?)
}

fn model_signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// `POST /buckets/{name}/move`: fields `key`, `to` (the whole new name; with `/` at the end, the folder to move to).
pub async fn rename(
    reader: Reader,
    account: CurrentAccount,
    path: web::Path<String>,
    fields: Fields,
) -> Result<HttpResponse> {
    let bucket = load_usable(&reader, account.id, &path).await?;
    let from = key(fields.get("key"))?;
    let typed = fields.get("to");
    let refuse = async |sentence: &str| {
        let field = Field { value: crate::text::shorten(typed, 1100), error: reader.lang.t(sentence).into_owned() };
        let page = file_page(&reader, &bucket, &from, field).await?;
        with_status(StatusCode::UNPROCESSABLE_ENTITY, &page)
    };
    let wanted = if typed.ends_with('/') { format!("{typed}{}", from.file_name()) } else { typed.to_owned() };
    let to = match ObjectKey::parse(wanted) {
        Ok(to) => to,
        Err(problem) => return refuse(forms::key_sentence(problem)).await,
    };
    match work::rename(&reader.app, &bucket, &from, &to).await {
        Ok(()) => {}
        Err(CloudError::Conflict(_)) => return refuse("buckets.file.name_taken").await,
        Err(error) => return Err(error.into()),
    }
    let mut response = see_other(&file_path(&bucket.name, to.as_str()));
    notice(&mut response, &reader, "notice.renamed", &crate::text::shorten(to.file_name(), 64))?;
    Ok(response)
}

/// `GET /buckets/{name}/archive?key=…`: files and folders as one zip; an empty key is the whole bucket.
pub async fn archive(
    reader: Reader,
    request: HttpRequest,
    account: CurrentAccount,
    path: web::Path<String>,
) -> Result<HttpResponse> {
    let bucket = load(&reader, account.id, &path).await?;
    if !bucket.is_usable() {
        return Err(Error::Conflict(reader.lang.t("buckets.not_usable").into_owned()));
    }
    let keys = keys_in(&request);
    if keys.is_empty() || keys.iter().any(|name| !name.is_empty() && ObjectKey::parse(name.as_str()).is_err()) {
        return Err(Error::NotFound);
    }
    let prefix = common_folder(&keys);
    let name = match keys.as_slice() {
        [only] if !only.is_empty() => key(only)?.file_name().trim_end_matches('/').to_owned(),
        _ => bucket.name.clone(),
    };
    let contents = Contents { container: bucket.name.clone(), prefix, keys };
    let body = archive::stream(reader.app.clone().into_inner(), contents);
    let mut response = HttpResponse::Ok();
    response
        .insert_header((header::CONTENT_TYPE, "application/zip"))
        .insert_header((header::CONTENT_DISPOSITION, attachment(&format!("{name}.zip"))))
        .insert_header((header::CONTENT_SECURITY_POLICY, CSP))
        .insert_header((header::CONTENT_ENCODING, "identity"));
    if request.method() == Method::HEAD {
        return Ok(response.finish());
    }
    Ok(response.streaming(body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_goes_out_for_old_and_new_programs() {
        assert_eq!(attachment("a b.txt"), "attachment; filename=\"a b.txt\"; filename*=UTF-8''a%20b%2Etxt");
        assert_eq!(
            attachment("보고\"서.pdf"),
            "attachment; filename=\"___서.pdf\"; filename*=UTF-8''%EB%B3%B4%EA%B3%A0%22%EC%84%9C%2Epdf"
                .replace('서', "_")
        );
    }
}
