//! What the tests share.

mod cluster;
mod container;
mod gate;
mod lab;
mod person;
mod portal;
mod proxy;
#[path = "../../common/secrets.rs"]
mod secrets;
mod stack;

use std::time::{Duration, Instant};

pub use cluster::{Cluster, run_containers};
pub use gate::{Gate, SwiftFault};
pub use lab::{Lab, run};
pub use person::{Detail, Person};
pub use portal::{Home, Portal, Setup};
pub use proxy::{Fault, Proxy};
pub use stack::{SCALE, STUDENTS, Server, Stack};

pub const FAILED: &str = "미니 PC 대여에 실패했습니다. 잠시 후 다시 시도해주세요.";
pub const OVER_QUOTA: &str = "할당된 리소스를 초과하여 미니 PC 대여가 불가능합니다.";
pub const UNKNOWN_SINCE: &str = "부터 확인되지 않아요";

/// Looks until there is something, for so many seconds at most; what was seen instead is told then.
pub async fn until<T>(what: &str, seconds: u64, mut look: impl AsyncFnMut() -> Result<T, String>) -> T {
    let began = Instant::now();
    loop {
        let seen = match look().await {
            Ok(found) => return found,
            Err(seen) => seen,
        };
        assert!(began.elapsed() < Duration::from_secs(seconds), "after {seconds} s still not {what}: {seen}");
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

/// Says what took how long.
pub struct Watch(Instant);

impl Watch {
    pub fn start() -> Self {
        Self(Instant::now())
    }

    pub fn lap(&mut self, what: &str) {
        println!("    {what}: {:.1} s", self.0.elapsed().as_secs_f32());
        self.0 = Instant::now();
    }
}
