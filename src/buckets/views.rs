//! Pages and fragments of buckets. Values are ready to show; templates branch, they don't compute.

use askama::Template;

use crate::instances::views::{QuotaBar, status_icon};
use crate::web::page::{Age, Field, Page};

/// A bucket, as a row of the list and at the head of its page.
#[derive(Debug, Clone, Default)]
pub struct Row {
    /// The row's element is `bucket-{name}`.
    pub name: String,
    pub href: String,
    /// `data-status`: active, deleting, unknown.
    pub status: &'static str,
    pub status_label: String,
    /// Why it is not usable, or how far its deletion is; may be empty.
    pub why: String,
    /// Empty until it is known.
    pub address: String,
    pub objects: String,
    pub bytes: String,
    /// "2분 전", and the full time for `title`; empty when nothing has been put in yet.
    pub changed: String,
    pub changed_at: String,
    pub usable: bool,
    pub can_delete: bool,
    pub has_files: bool,
}

impl Row {
    /// The symbol of its status.
    pub fn icon(&self) -> &'static str {
        status_icon(self.status)
    }
}

#[derive(Debug, Clone, Default)]
pub struct List {
    pub rows: Vec<Row>,
    pub total: u32,
    /// "버킷 5개"
    pub sum: String,
    pub quota: Vec<QuotaBar>,
    /// What to do when it is nearly used up; empty.
    pub quota_hint: String,
    pub age: Age,
    /// The store does not answer: since when; empty when it does.
    pub problem: String,
    pub refresh_seconds: Option<u32>,
    pub refresh_url: String,
    pub newer_href: String,
    pub older_href: String,
}

impl List {
    pub fn is_empty(&self) -> bool {
        self.total == 0
    }

    pub fn has_pages(&self) -> bool {
        !self.newer_href.is_empty() || !self.older_href.is_empty()
    }
}

/// `GET /buckets`
#[derive(Template)]
#[template(path = "buckets/index.html")]
pub struct IndexPage {
    pub page: Page,
    pub list: List,
}

/// The part of it that refreshes itself. Root element `#bucket-list`.
#[derive(Template)]
#[template(path = "buckets/_list.html")]
pub struct ListFragment {
    pub page: Page,
    pub list: List,
}

/// `GET /buckets/new`, and `POST /buckets` with errors (422). Fields `name`, `launch_key`.
#[derive(Template)]
#[template(path = "buckets/new.html")]
pub struct NewPage {
    pub page: Page,
    pub name: Field,
    pub launch_key: String,
    pub quota: Vec<QuotaBar>,
    /// The sentence above the button; empty when all is well.
    pub error: String,
    pub full: bool,
}

/// A part of a path, with where it leads; the last leads nowhere.
#[derive(Debug, Clone, Default)]
pub struct Crumb {
    pub label: String,
    pub href: String,
}

/// A file or folder.
#[derive(Debug, Clone, Default)]
pub struct Line {
    pub is_folder: bool,
    /// The whole name.
    pub key: String,
    /// As it stands in its folder; of a search, from the folder that was searched.
    pub name: String,
    pub href: String,
    pub icon: &'static str,
    pub size: String,
    pub modified: String,
    pub modified_at: String,
    pub kind: String,
    /// Empty for folders and for names that we can't ask for.
    pub download_href: String,
    pub more_href: String,
}

/// A column's head that sorts.
#[derive(Debug, Clone, Default)]
pub struct SortLink {
    pub label: String,
    pub href: String,
    /// `aria-sort`: ascending, descending; empty when another column is sorted by.
    pub sorted: &'static str,
    /// `num` for numbers.
    pub class: &'static str,
}

/// What of a bucket's page refreshes itself and is swapped after uploads. Root element `#files`.
#[derive(Debug, Clone, Default)]
pub struct Folder {
    pub row: Row,
    /// Of this folder, without the search.
    pub href: String,
    pub prefix: String,
    /// The folder's own name, with its `/`; empty for the bucket itself.
    pub folder_name: String,
    pub crumbs: Vec<Crumb>,
    pub sum: String,
    pub age: Age,
    pub search: String,
    pub sort: &'static str,
    pub columns: Vec<SortLink>,
    pub lines: Vec<Line>,
    pub first_href: String,
    pub next_href: String,
    pub too_many_to_sort: bool,
    /// The store does not answer: in words; empty when it does.
    pub problem: String,
    /// Folders that are being deleted: "사진/ 삭제 중 · 592개 지웠어요".
    pub removals: Vec<String>,
    pub refresh_seconds: Option<u32>,
    pub refresh_url: String,
    pub upload_url: String,
    pub archive_href: String,
    /// Bytes that a file may have now; for the page's script.
    pub room: u64,
    pub max_file: u64,
}

impl Folder {
    pub fn is_searching(&self) -> bool {
        !self.search.is_empty()
    }
}

/// `GET /buckets/{name}`
#[derive(Template)]
#[template(path = "buckets/show.html")]
pub struct ShowPage {
    pub page: Page,
    pub folder: Folder,
    /// Of a new folder, when it was refused (422).
    pub folder_field: Field,
}

/// `#files`, and the line above it that sums it up.
#[derive(Template)]
#[template(path = "buckets/_files_part.html")]
pub struct FilesFragment {
    pub page: Page,
    pub folder: Folder,
}

/// `GET /buckets/{name}/delete`, and its POST with an error (422). Field `name`, if there are files in it.
#[derive(Template)]
#[template(path = "buckets/delete.html")]
pub struct DeletePage {
    pub page: Page,
    pub row: Row,
    pub name: Field,
}

/// A link that somebody can download one file with.
#[derive(Debug, Clone, Default)]
pub struct Link {
    pub id: String,
    pub key: String,
    pub file_href: String,
    pub url: String,
    /// "3일 뒤 끝나요"
    pub expires: String,
    pub expires_at: String,
    /// "2번 내려받았어요"
    pub used: String,
    pub revoke_url: String,
}

/// `GET /buckets/{name}/file?key=`: one file.
#[derive(Template)]
#[template(path = "buckets/file.html")]
pub struct FilePage {
    pub page: Page,
    pub bucket: String,
    pub crumbs: Vec<Crumb>,
    pub key: String,
    pub name: String,
    pub folder_href: String,
    pub kind: String,
    pub icon: &'static str,
    pub size: String,
    pub modified: String,
    pub modified_at: String,
    pub content_type: String,
    /// MD5; of a large file, of its parts' MD5s.
    pub etag: String,
    pub large: bool,
    pub download_href: String,
    pub image_href: String,
    pub text: Option<String>,
    pub text_cut: bool,
    pub links: Vec<Link>,
    /// Days to choose from for a new link.
    pub days: Vec<(u32, String)>,
    /// Field `to`: the new name, folders included.
    pub to: Field,
    pub delete_href: String,
}

/// `GET /buckets/{name}/objects/delete?key=…`: the question.
#[derive(Template)]
#[template(path = "buckets/delete_objects.html")]
pub struct DeleteObjectsPage {
    pub page: Page,
    pub bucket: String,
    pub prefix: String,
    pub back: String,
    pub keys: Vec<String>,
    /// "파일 3개와 폴더 1개"
    pub what: String,
    pub has_folders: bool,
}

/// What became of a file.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    pub name: String,
    pub size: String,
    /// Empty when it is stored.
    pub error: String,
}

/// `POST /buckets/{name}/objects` of a plain form, when not everything was stored.
#[derive(Template)]
#[template(path = "buckets/uploaded.html")]
pub struct UploadedPage {
    pub page: Page,
    pub bucket: String,
    pub back: String,
    pub outcomes: Vec<Outcome>,
}

/// `GET /buckets/{name}/links`
#[derive(Template)]
#[template(path = "buckets/links.html")]
pub struct LinksPage {
    pub page: Page,
    pub bucket: String,
    pub links: Vec<Link>,
}

/// A credential for tools.
#[derive(Debug, Clone, Default)]
pub struct TokenLine {
    pub id: String,
    /// What the tool sends.
    pub secret: String,
    pub rights: String,
    pub expires: String,
    pub expires_at: String,
    pub used: String,
    pub revoke_url: String,
}

/// `GET /buckets/{name}/tools`
#[derive(Template)]
#[template(path = "buckets/tools.html")]
pub struct ToolsPage {
    pub page: Page,
    pub bucket: String,
    /// What comes before the bucket's name in its address for tools.
    pub url: String,
    pub tokens: Vec<TokenLine>,
    pub days: Vec<(u32, String)>,
}

/// The card of the dashboard. Root element `#dashboard-buckets`.
#[derive(Template)]
#[template(path = "dashboard/_buckets.html")]
pub struct DashboardCard {
    pub page: Page,
    pub list: List,
}
