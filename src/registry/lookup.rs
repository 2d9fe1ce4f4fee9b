//! One reading of an image: manifest (by way of an index), then the image's own configuration.

use oci_spec::image::{Descriptor, Digest, ImageConfiguration, ImageManifest};
use reqwest::StatusCode;
use reqwest::header::HeaderValue;
use sha2::{Digest as _, Sha256};

use super::answer::{Document, check_digest, json, refusal};
use super::error::RegistryError;
use super::facts::ImageFacts;
use super::platform;
use super::reference::ImageReference;
use super::settings::Source;
use super::token::{self, Challenge};
use super::web::{Answer, Ask, Web};

const MAX_MANIFEST_BYTES: usize = 4 * 1024 * 1024;
const MAX_CONFIG_BYTES: usize = 1024 * 1024;
/// An index may be in an index; deeper than that nobody looks.
const MAX_INDEXES: usize = 2;
/// All four kinds: a registry that is not told so converts, or says that there is no such image.
const MANIFEST_TYPES: &str = "application/vnd.oci.image.index.v1+json, \
                              application/vnd.docker.distribution.manifest.list.v2+json, \
                              application/vnd.oci.image.manifest.v1+json, \
                              application/vnd.docker.distribution.manifest.v2+json";

pub(super) struct Lookup<'a> {
    web: &'a Web,
    source: Source,
    image: &'a ImageReference,
    /// Architectures of the cluster's machines; none: not known.
    cluster: &'a [String],
    authorization: Option<HeaderValue>,
}

impl<'a> Lookup<'a> {
    pub(super) fn new(web: &'a Web, source: Source, image: &'a ImageReference, cluster: &'a [String]) -> Self {
        Self { web, source, image, cluster, authorization: None }
    }

    pub(super) async fn run(mut self) -> Result<ImageFacts, RegistryError> {
        let (digest, mut document) = self.first_document().await?;
        let mut offers = Vec::new();
        let mut is_chosen = false;
        let mut indexes = 0;
        let manifest = loop {
            let index = match document {
                Document::Manifest(manifest) => break manifest,
                Document::Index(_) if indexes == MAX_INDEXES => {
                    return Err(RegistryError::Unreadable(format!("more than {MAX_INDEXES} indexes in each other")));
                }
                Document::Index(index) => index,
            };
            indexes += 1;
            if offers.is_empty() {
                offers = platform::offers(&index);
            }
            let entry = platform::choose(&index, self.cluster)?;
            is_chosen |= entry.platform().is_some();
            document = self.document(entry).await?;
        };
        let config = self.config(&manifest).await?;
        if !is_chosen {
            // No index has said what it is for.
            let own = platform::check_config(&config, self.cluster)?;
            offers = if offers.is_empty() { own } else { offers };
        }
        Ok(ImageFacts::new(digest, &manifest, &config, offers))
    }

    /// What the reference itself names, and its digest. A tag's digest is ours: what the registry claims is not asked.
    async fn first_document(&mut self) -> Result<(String, Document), RegistryError> {
        let name = self.image.digest().or(self.image.tag()).unwrap_or("latest");
        let body = self.read("manifests", name, MAX_MANIFEST_BYTES).await?;
        let digest = match self.image.digest() {
            Some(digest) => {
                check_digest(&body, &digest.parse().map_err(|_| unknown_digest())?)?;
                digest.to_owned()
            }
            None => format!("sha256:{}", hex::encode(Sha256::digest(&body))),
        };
        Ok((digest, Document::read(&body)?))
    }

    /// An entry of an index.
    async fn document(&mut self, entry: &Descriptor) -> Result<Document, RegistryError> {
        Document::read(&self.read_by_digest("manifests", entry.digest(), MAX_MANIFEST_BYTES).await?)
    }

    async fn config(&mut self, manifest: &ImageManifest) -> Result<ImageConfiguration, RegistryError> {
        let digest = manifest.config().digest();
        json(&self.read_by_digest("blobs", digest, MAX_CONFIG_BYTES).await?, "the image's configuration")
    }

    /// What an index or a manifest points to. That it is missing does not mean that there is no such image.
    async fn read_by_digest(
        &mut self,
        kind: &str,
        digest: &Digest,
        max_bytes: usize,
    ) -> Result<Vec<u8>, RegistryError> {
        if digest.algorithm().digest_hexlen().is_none() {
            return Err(unknown_digest());
        }
        let body = self.read(kind, digest.as_ref(), max_bytes).await.map_err(|err| match err {
            RegistryError::NotFound => RegistryError::Unreadable("a part of the image is missing".to_owned()),
            err => err,
        })?;
        check_digest(&body, digest)?;
        Ok(body)
    }

    /// Reads, with an anonymous token if the registry asks for one.
    async fn read(&mut self, kind: &str, name: &str, max_bytes: usize) -> Result<Vec<u8>, RegistryError> {
        let mut answer = self.get(kind, name, max_bytes).await?;
        if answer.status == StatusCode::UNAUTHORIZED
            && answer.is_own
            && self.authorization.is_none()
            && let Some(challenge) = Challenge::of(&answer.headers)
        {
            let token = token::anonymous(self.web, &self.source, &challenge, self.image.repository()).await?;
            self.authorization = Some(token);
            answer = self.get(kind, name, max_bytes).await?;
        }
        if answer.status != StatusCode::OK {
            return Err(refusal(&answer));
        }
        Ok(answer.body)
    }

    async fn get(&self, kind: &str, name: &str, max_bytes: usize) -> Result<Answer, RegistryError> {
        let mut url = self.source.address.clone();
        // Nothing in it needs escapes: the grammar of references and digests leaves no room for them.
        url.set_path(&format!("/v2/{}/{kind}/{name}", self.image.repository()));
        if self.source.is_mirror() {
            // One mirror may stand for several registries; container runtimes say so, too, which one is meant.
            url.query_pairs_mut().append_pair("ns", self.image.registry());
        }
        let accept = if kind == "manifests" { MANIFEST_TYPES } else { "*/*" };
        self.web.get(&self.source, Ask { url, accept, max_bytes, authorization: self.authorization.as_ref() }).await
    }
}

fn unknown_digest() -> RegistryError {
    RegistryError::Unreadable("a digest of an unknown kind".to_owned())
}
