//! Reading from registries over HTTP, where hosts, redirects and links come from strangers.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue, LOCATION};
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, Response, StatusCode};
use url::{Host, Url};

use super::address::PublicResolver;
use super::error::{RegistryError, one_line};
use super::settings::Source;

/// Blobs are handed out by content networks, behind one or two redirects.
const MAX_REDIRECTS: usize = 5;
/// Signed addresses of content networks have some 2,000 bytes.
const MAX_URL_BYTES: usize = 8 * 1024;
/// Of a refusal so much is read.
const MAX_REFUSAL_BYTES: usize = 64 * 1024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);

/// Two clients. The one connects to public addresses only, whatever the name; the other to the mirrors that the admin
/// named, wherever they are. Neither knows proxies, cookies, logins, or redirects of its own; answers are not unpacked.
pub(super) struct Web {
    public: Client,
    mirrors: Client,
}

/// A GET.
pub(super) struct Ask<'a> {
    pub(super) url: Url,
    pub(super) accept: &'static str,
    /// A longer answer is an error.
    pub(super) max_bytes: usize,
    /// `Authorization` for the host of `url`; no other one gets it.
    pub(super) authorization: Option<&'a HeaderValue>,
}

/// An answer that was read to its end (a refusal: as far as it matters).
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    /// Whether it came from the host that was asked first.
    pub(super) is_own: bool,
}

impl Web {
    /// # Errors
    /// When TLS can't be set up.
    pub(super) fn new() -> anyhow::Result<Self> {
        Ok(Self {
            public: client().https_only(true).dns_resolver(Arc::new(PublicResolver)).build()?,
            mirrors: client().build()?,
        })
    }

    /// Reads, following redirects to places that may be contacted.
    pub(super) async fn get(&self, source: &Source, ask: Ask<'_>) -> Result<Answer, RegistryError> {
        let first = ask.url.origin();
        let mut url = ask.url;
        let mut is_own = true;
        for _ in 0..=MAX_REDIRECTS {
            is_own = is_own && url.origin() == first;
            let mut request = self.client(source, &url)?.get(url.clone()).header(ACCEPT, ask.accept);
            if let Some(value) = ask.authorization.filter(|_| is_own) {
                request = request.header(AUTHORIZATION, value);
            }
            let response = request.send().await.map_err(|err| no_answer(&url, &err))?;
            match redirect(&response, &url)? {
                Some(next) => url = next,
                None => return read(response, &url, ask.max_bytes, is_own).await,
            }
        }
        Err(RegistryError::Unreadable(format!("more than {MAX_REDIRECTS} redirects, the last to {}", place(&url))))
    }

    /// The client for an address, if it may be contacted at all: the mirror's own origin, or https to a host with a
    /// name. Addresses in place of names are refused in every spelling: [`Url`] turns them all into [`Host::Ipv4`].
    fn client(&self, source: &Source, url: &Url) -> Result<&Client, RegistryError> {
        let refused = |why: &str| Err(RegistryError::Unavailable(format!("{} is not contacted: {why}", place(url))));
        if url.as_str().len() > MAX_URL_BYTES {
            return refused("its address is too long");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return refused("its address holds a login");
        }
        if source.trusted.contains(&url.origin()) {
            return Ok(&self.mirrors);
        }
        if url.scheme() != "https" {
            return refused("not https");
        }
        match url.host() {
            Some(Host::Domain(_)) => Ok(&self.public),
            _ => refused("an address in place of a name"),
        }
    }
}

fn client() -> ClientBuilder {
    Client::builder()
        .user_agent(concat!("fast-cloud/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .no_proxy()
        .referer(false)
        .no_gzip()
        .no_brotli()
        .no_deflate()
        .no_zstd()
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_max_idle_per_host(2)
        .pool_idle_timeout(Duration::from_secs(20))
}

/// Where an answer sends us; None: it is the answer.
fn redirect(response: &Response, url: &Url) -> Result<Option<Url>, RegistryError> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    let mut next = location
        .and_then(|location| url.join(location).ok())
        .ok_or_else(|| RegistryError::Unreadable(format!("{} redirects to nowhere", place(url))))?;
    next.set_fragment(None);
    Ok(Some(next))
}

async fn read(mut response: Response, url: &Url, max_bytes: usize, is_own: bool) -> Result<Answer, RegistryError> {
    let status = response.status();
    let limit = if status.is_success() { max_bytes } else { MAX_REFUSAL_BYTES };
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|err| no_answer(url, &err))? {
        let room = limit - body.len();
        if chunk.len() > room && status.is_success() {
            return Err(RegistryError::Unreadable(format!("{} answers with more than {limit} bytes", place(url))));
        }
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if body.len() == limit && !status.is_success() {
            break;
        }
    }
    Ok(Answer { status, headers: response.headers().clone(), body, is_own })
}

/// With the causes, without the query: that of a content network is a signature.
fn no_answer(url: &Url, err: &reqwest::Error) -> RegistryError {
    let mut message = format!("no answer from {}", place(url));
    let mut cause = err.source();
    while let Some(err) = cause {
        message = format!("{message}: {err}");
        cause = err.source();
    }
    RegistryError::Unavailable(one_line(&message))
}

pub(super) fn place(url: &Url) -> String {
    one_line(&url.origin().ascii_serialization())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(address: &str, is_mirror: bool) -> Source {
        let address = Url::parse(address).unwrap();
        let trusted = if is_mirror { vec![address.origin()] } else { vec![] };
        Source { address, trusted }
    }

    fn is_contacted(source: &Source, url: &str) -> bool {
        Web::new().unwrap().client(source, &Url::parse(url).unwrap()).is_ok()
    }

    #[test]
    fn only_names_under_tls_are_contacted() {
        let hub = source("https://registry-1.docker.io", false);
        for url in
            ["https://registry-1.docker.io/v2/", "https://auth.docker.io/token?a=b", "https://cdn.example:8443/x"]
        {
            assert!(is_contacted(&hub, url), "{url}");
        }
        for url in [
            "http://registry-1.docker.io/v2/",
            "ftp://cdn.example/",
            "file:///etc/passwd",
            "data:text/plain,x",
            "https://me@cdn.example/",
            "https://me:pw@cdn.example/",
            "https://1.1.1.1/",
            "https://127.0.0.1/",
            "https://127.1/",
            "https://127.0.0.1./",
            "https://2130706433/",
            "https://0x7f000001/",
            "https://0x7f.1/",
            "https://017700000001/",
            "https://0177.0.0.01/",
            "https://%31%32%37.0.0.1/",
            "https://１２７.0.0.1/",
            "https://0/",
            "https://169.254.169.254/latest/meta-data/",
            "https://[::1]/",
            "https://[::ffff:127.0.0.1]/",
            "https://[::127.0.0.1]/",
            "https://[64:ff9b::7f00:1]/",
            "https://[2606:4700::1]/",
        ] {
            assert!(!is_contacted(&hub, url), "{url}");
        }
        assert!(!is_contacted(&hub, &format!("https://cdn.example/{}", "a".repeat(MAX_URL_BYTES))));
    }

    #[test]
    fn of_a_mirror_only_its_own_origin_is_trusted() {
        let mirror = source("http://127.0.0.1:5050", true);
        assert!(is_contacted(&mirror, "http://127.0.0.1:5050/v2/"));
        assert!(is_contacted(&mirror, "https://cdn.example/"));
        for url in [
            "http://127.0.0.1:5051/",
            "http://127.0.0.1/",
            "https://127.0.0.1:5050/",
            "http://127.0.0.2:5050/",
            "http://localhost:5050/",
            "http://me@127.0.0.1:5050/",
        ] {
            assert!(!is_contacted(&mirror, url), "{url}");
        }
        assert!(!is_contacted(&source("http://127.0.0.1:5050", false), "http://127.0.0.1:5050/v2/"));
    }
}
