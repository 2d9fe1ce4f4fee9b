//! What the tests share: a portal, a browser, and what a person does with them.

pub mod driver;
pub mod page;
pub mod portal;
#[path = "../../common/secrets.rs"]
pub mod secrets;

use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use tokio::sync::Semaphore;

pub use driver::Driver;
pub use page::Page;
pub use portal::Portal;

/// How long a test may take.
const TEST: Duration = Duration::from_secs(150);

/// Browsers at the same time.
static BROWSERS: Semaphore = Semaphore::const_new(3);

/// The browser that a test asks for.
#[derive(Debug, Clone, Copy)]
pub struct Browser {
    pub language: &'static str,
    pub scripts: bool,
}

impl Browser {
    pub const KOREAN: Self = Self { language: "ko-KR", scripts: true };
    pub const WITHOUT_SCRIPTS: Self = Self { language: "ko-KR", scripts: false };
}

/// Opens a browser, lets the test use it, and closes it whatever came of that. A failed test says where the browser was and
/// leaves a picture; a page whose own scripts failed fails the test.
pub async fn browse(portal: &Portal, browser: Browser, test: impl AsyncFnOnce(&Page)) {
    browse_for(portal, browser, TEST, test).await;
}

/// The same, for longer.
pub async fn browse_for(portal: &Portal, browser: Browser, limit: Duration, test: impl AsyncFnOnce(&Page)) {
    let _permit = BROWSERS.acquire().await.unwrap();
    let driver = Driver::shared();
    let home = Folder::new("chromium");
    let page = Page::open(&driver, portal.address(), home.path(), browser).await;
    let done = AssertUnwindSafe(tokio::time::timeout(limit, test(&page))).catch_unwind().await;
    let failed = !matches!(done, Ok(Ok(())));
    if failed {
        page.say_where(&portal.log()).await;
    }
    let complaints = if failed || !browser.scripts { Vec::new() } else { page.complaints().await };
    page.close().await;
    match done {
        Err(panic) => std::panic::resume_unwind(panic),
        Ok(Err(_)) => panic!("the test did not end within {limit:?}"),
        Ok(Ok(())) => assert_eq!(complaints, Vec::<String>::new(), "what the browser's console says"),
    }
}

/// A folder for a while.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("fast-cloud-{name}-{}", uuid::Uuid::new_v4().simple()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A browser that has just ended may still be writing.
        for _ in 0..20 {
            if std::fs::remove_dir_all(&self.0).is_ok() || !self.0.exists() {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Sends a signal to a process of ours.
fn signal(pid: u32, name: &str) {
    let sent = std::process::Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).status();
    assert!(sent.is_ok_and(|status| status.success()), "sending {name} to {pid}");
}

/// One of a kind that tests running at the same time share; the last one to leave ends it.
pub struct Shared<T>(std::sync::Mutex<std::sync::Weak<T>>);

impl<T> Shared<T> {
    pub const fn new() -> Self {
        Self(std::sync::Mutex::new(std::sync::Weak::new()))
    }

    pub fn get(&self, make: impl FnOnce() -> T) -> Arc<T> {
        let mut place = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        place.upgrade().unwrap_or_else(|| {
            let made = Arc::new(make());
            *place = Arc::downgrade(&made);
            made
        })
    }
}
