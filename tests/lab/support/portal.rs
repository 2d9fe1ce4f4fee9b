//! The program, as a process.

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::person::Person;
use super::{secrets, until};

/// A data folder. Dropped, it is removed, and the database in it ended if a killed portal left it running.
pub struct Home(PathBuf);

impl Home {
    pub fn new() -> Self {
        let dir = std::env::temp_dir().join(format!("t-lab-{}", &uuid::Uuid::new_v4().simple().to_string()[..12]));
        std::fs::create_dir(&dir).unwrap();
        Self(dir)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let pid = std::fs::read_to_string(self.0.join("data/mysql/pid")).unwrap_or_default();
        let running = || {
            let command = std::fs::read(format!("/proc/{}/cmdline", pid.trim())).unwrap_or_default();
            !pid.trim().is_empty() && String::from_utf8_lossy(&command).contains(&*self.0.to_string_lossy())
        };
        if running() {
            let _ = Command::new("kill").arg(pid.trim()).status();
            let began = Instant::now();
            while running() && began.elapsed() < Duration::from_secs(20) {
                std::thread::sleep(Duration::from_millis(50));
            }
        }
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// How a portal is started.
#[derive(Clone)]
pub struct Setup {
    env: Vec<(String, String)>,
}

impl Setup {
    /// Against a cloud of a `clouds.yaml`.
    pub fn new(clouds_yaml: &Path, cloud: &str) -> Self {
        let (flavor, network) = match cloud {
            super::SCALE => ("fake.nano", "scale-net"),
            _ => ("tiny", "lab-net"),
        };
        Self::empty()
            .set("OS_CLIENT_CONFIG_FILE", clouds_yaml.to_string_lossy())
            .set("OS_CLOUD", cloud)
            .set("FASTCLOUD_CLOUD__COMPUTE", "openstack")
            .set("FASTCLOUD_INSTANCE_TEMPLATES__IMAGE", "tiny-linux")
            .set("FASTCLOUD_INSTANCE_TEMPLATES__NETWORK", network)
            .set("FASTCLOUD_INSTANCE_TEMPLATES__SECURITY_GROUPS", r#"["ssh"]"#)
            .set("FASTCLOUD_INSTANCE_TEMPLATES__SSH_USER", "root")
            .set("FASTCLOUD_INSTANCE_TEMPLATES__NANO_FLAVOR", flavor)
            .set("FASTCLOUD_INSTANCE_TEMPLATES__STANDARD_FLAVOR", flavor)
            .set("FASTCLOUD_INSTANCE_TEMPLATES__PRO_FLAVOR", "huge")
    }

    /// With the practice cloud only, quick to notice things.
    pub fn empty() -> Self {
        Self { env: Vec::new() }
            .set("FASTCLOUD_PRACTICE__INGRESS_LISTEN", "")
            .set("FASTCLOUD_SERVER__WORKERS", "2")
            .set("FASTCLOUD_SYNC__INTERVAL_SECONDS", "5")
            .set("FASTCLOUD_OPERATIONS__LEASE_SECONDS", "3")
            .set("FASTCLOUD_LOG__FILTER", "info")
    }

    /// What one account may have.
    pub fn quota(self, instances: u32) -> Self {
        self.set("FASTCLOUD_QUOTA__INSTANCES", instances.to_string())
            .set("FASTCLOUD_QUOTA__VCPUS", "1000")
            .set("FASTCLOUD_QUOTA__RAM_MB", "100000000")
    }

    pub fn set(mut self, key: &str, value: impl AsRef<str>) -> Self {
        self.env.retain(|(there, _)| there != key);
        self.env.push((key.to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Starts it and waits until it answers.
    pub async fn start(&self, home: &Home) -> Portal {
        let portal = self.spawn(home);
        until("answering", 60, async || {
            assert!(portal.runs(), "the portal ended at its start: {}", portal.log());
            let answer = reqwest::get(format!("{}/health/ready", portal.base)).await;
            answer.and_then(reqwest::Response::error_for_status).map(drop).map_err(|error| error.to_string())
        })
        .await;
        portal
    }

    pub fn without(mut self, key: &str) -> Self {
        self.env.retain(|(there, _)| there != key);
        self
    }

    fn command(&self, home: &Home) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fast-cloud"));
        // Only what is said here: whoever runs the tests may have a cloud of their own in the environment.
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.envs(self.env.iter().map(|(key, value)| (key, value)));
        command.env("FASTCLOUD_DATA__DIR", home.path().join("data"));
        command.current_dir(home.path()).stdin(Stdio::null());
        command
    }

    /// Runs `check`: whether all works, and what it prints.
    pub fn check(&self, home: &Home) -> (bool, String) {
        let output = self.command(home).arg("check").output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(text).unwrap())
    }

    /// Starts it.
    pub fn spawn(&self, home: &Home) -> Portal {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (out, err) = (home.path().join(format!("out-{port}")), home.path().join(format!("log-{port}")));
        let mut command = self.command(home);
        command.env("FASTCLOUD_SERVER__LISTEN", format!("127.0.0.1:{port}"));
        command.stdout(File::create(&out).unwrap()).stderr(File::create(&err).unwrap());
        let child = std::sync::Mutex::new(command.spawn().unwrap());
        let files = self.env.iter().filter(|(key, _)| matches!(key.as_str(), "OS_CLIENT_CONFIG_FILE" | "KUBECONFIG"));
        let secrets = files.flat_map(|(_, file)| secrets_in(file)).collect();
        Portal { child, base: format!("http://127.0.0.1:{port}"), out, err, secrets }
    }
}

/// A running portal; ended when it is dropped.
pub struct Portal {
    child: std::sync::Mutex<Child>,
    pub base: String,
    out: PathBuf,
    err: PathBuf,
    /// What the clouds are logged in to with.
    secrets: Vec<String>,
}

/// Passwords and tokens in the files that name clouds: `password: …`, `secret: …`, `token: …`.
fn secrets_in(file: &str) -> Vec<String> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let value = |line: &str| {
        let (key, value) = line.trim().split_once(": ")?;
        let value = value.trim_matches(['"', '\'']);
        let secret = ["password", "secret", "token"].iter().any(|word| key.ends_with(word));
        (secret && value.len() >= 8).then(|| value.to_owned())
    };
    text.lines().filter_map(value).collect()
}

impl Portal {
    fn runs(&self) -> bool {
        matches!(self.child.lock().unwrap().try_wait(), Ok(None))
    }

    /// The end of its log.
    pub fn log(&self) -> String {
        let log = std::fs::read_to_string(&self.err).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    /// Whether something stands in its log.
    pub fn logged(&self, text: &str) -> bool {
        self.count(text) > 0
    }

    /// How many lines of its log have something.
    pub fn count(&self, text: &str) -> usize {
        let log = std::fs::read_to_string(&self.err).unwrap_or_default();
        log.lines().filter(|line| line.contains(text)).count()
    }

    /// Looks at the process's memory until it is asked for what it saw.
    pub fn watch_memory(&self) -> Memory {
        let status = format!("/proc/{}/status", self.child.lock().unwrap().id());
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            let (mut own, mut all) = (0, 0);
            while let Ok(text) = std::fs::read_to_string(&status) {
                let kib = |name: &str| -> u64 {
                    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
                    line.split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or(0)
                };
                (own, all) = (own.max(kib("RssAnon:")), all.max(kib("VmHWM:")));
                if ended.recv_timeout(Duration::from_millis(20)).is_ok() {
                    break;
                }
            }
            (own, all)
        });
        Memory { end, thread }
    }

    /// SIGKILL.
    pub fn kill(&self) {
        let mut child = self.child.lock().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// A new person, signed up and logged in.
    pub async fn person(&self, login: &str) -> Person {
        let person = Person::new(&self.base, login);
        person.sign_up("/signup", &[]).await;
        person.log_in().await;
        person
    }

    /// The first admin, by the link that the portal printed at its start.
    pub async fn admin(&self) -> Person {
        let said = std::fs::read_to_string(&self.out).unwrap();
        let (_, token) = said.split_once("/setup?token=").expect("a link for the first admin");
        let token = token.split_whitespace().next().unwrap();
        let person = Person::new(&self.base, "the-admin");
        person.get(&format!("/setup?token={token}")).await;
        person.sign_up("/setup", &[("token", token)]).await;
        person.log_in().await;
        person
    }
}

/// The most memory that a process had while it was looked at.
pub struct Memory {
    end: std::sync::mpsc::Sender<()>,
    thread: std::thread::JoinHandle<(u64, u64)>,
}

impl Memory {
    /// In KiB: what is its own, and with the pages of its file, of which a program that was built for tests has many.
    pub fn peak(self) -> (u64, u64) {
        let _ = self.end.send(());
        self.thread.join().unwrap()
    }
}

impl Drop for Portal {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("--- the end of the portal's log\n{}\n---", self.log());
        }
        if self.runs() {
            let pid = self.child.lock().unwrap().id().to_string();
            let _ = Command::new("kill").arg(pid).status();
            let began = Instant::now();
            while self.runs() && began.elapsed() < Duration::from_secs(20) {
                std::thread::sleep(Duration::from_millis(50));
            }
            let mut child = self.child.lock().unwrap();
            let _ = child.kill();
            let _ = child.wait();
        }
        let log = std::fs::read_to_string(&self.err).unwrap_or_default();
        secrets::check("the portal's log", &log, &self.secrets);
    }
}
