//! Images.

use serde::Deserialize;
use serde_json::Value;

use super::OpenStack;
use super::lenient::lenient;
use super::session::{MAX_PAGES, Service};
use crate::cloud::{CloudError, Named};

#[derive(Deserialize)]
struct ImagePage {
    images: Vec<Value>,
    /// A path with the next page's query; absent on the last page.
    #[serde(default, deserialize_with = "lenient")]
    next: Option<String>,
}

/// Anything of which only id and name matter.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct IdAndName {
    #[serde(deserialize_with = "lenient")]
    pub(super) id: String,
    #[serde(deserialize_with = "lenient")]
    pub(super) name: String,
}

impl IdAndName {
    /// None without an id. Without a name it is called by its id.
    pub(super) fn named(self) -> Option<Named> {
        let name = if self.name.is_empty() { self.id.clone() } else { self.name };
        (!self.id.is_empty()).then_some(Named { id: self.id, name })
    }
}

impl OpenStack {
    /// The images that machines can be started from: active, and visible to the project.
    pub(super) async fn images(&self) -> Result<Vec<Named>, CloudError> {
        let mut images = Vec::new();
        let mut marker: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let mut call = self.session.get(Service::Image, &["images"]).query("status", "active").query("limit", 1000);
            if let Some(marker) = &marker {
                call = call.query("marker", marker);
            }
            let page: ImagePage = call.fetch().await?;
            let found = page
                .images
                .into_iter()
                .filter_map(|image| serde_json::from_value::<IdAndName>(image).ok().and_then(IdAndName::named));
            let before = images.len();
            images.extend(found);
            marker = images.get(before..).and_then(<[_]>::last).map(|image| image.id.clone());
            if page.next.is_none() || marker.is_none() {
                break;
            }
        }
        Ok(images)
    }
}
