//! The real binary, on a free port of its own, with a data folder of its own.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, mpsc};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Folder, Shared, secrets, signal};

static SHARED: Shared<Portal> = Shared::new();

/// Seconds that a practice machine takes to be built.
const BUILD_SECONDS: &str = "3";

pub struct Portal {
    folder: Folder,
    port: u16,
    /// Where containers answer.
    ingress: u16,
    settings: Vec<(String, String)>,
    process: Mutex<Option<Child>>,
    setup_link: OnceLock<String>,
}

impl Portal {
    /// The portal on a practice cloud that tests share; each has accounts of its own.
    pub fn shared() -> Arc<Self> {
        SHARED.get(|| Self::start(&[]))
    }

    /// A portal of one's own. Settings are variables.
    pub fn start(settings: &[(&str, &str)]) -> Self {
        // Where another ingress than the practice cloud's answers, its port is among the settings.
        let other = settings.iter().find(|(name, _)| *name == "FASTCLOUD_APPLICATIONS__URL_PORT");
        let ingress = other.map_or_else(free_port, |(_, port)| port.parse().unwrap());
        let port = free_port();
        let mut all = vec![
            ("FASTCLOUD_PRACTICE__INGRESS_LISTEN".to_owned(), format!("127.0.0.1:{ingress}")),
            ("FASTCLOUD_APPLICATIONS__URL_PORT".to_owned(), ingress.to_string()),
            ("FASTCLOUD_PRACTICE__BUILD_SECONDS".to_owned(), BUILD_SECONDS.to_owned()),
            ("FASTCLOUD_SYNC__TRANSITION_SECONDS".to_owned(), "1".to_owned()),
        ];
        all.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let portal = Self {
            folder: Folder::new("portal"),
            port,
            ingress,
            settings: all,
            process: Mutex::default(),
            setup_link: OnceLock::new(),
        };
        portal.run();
        portal
    }

    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The address of a container, by its first label.
    pub fn address_of(&self, label: &str) -> String {
        format!("http://{label}.apps.localhost:{}", self.ingress)
    }

    /// What a container's address answers: status and text.
    pub async fn knock(&self, label: &str) -> (u16, String) {
        let ask =
            reqwest::Client::builder().no_proxy().build().unwrap().get(format!("http://127.0.0.1:{}/", self.ingress));
        let host = format!("{label}.apps.localhost:{}", self.ingress);
        match ask.header("host", host).timeout(Duration::from_secs(5)).send().await {
            Ok(answer) => (answer.status().as_u16(), answer.text().await.unwrap_or_default()),
            Err(error) => (0, error.to_string()),
        }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// The end of what it logged.
    pub fn log(&self) -> String {
        let text = std::fs::read_to_string(self.log_file()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }

    /// Starts the process, on the same port and data folder each time, and waits until it serves.
    pub fn run(&self) {
        let mut place = self.process.lock().unwrap();
        assert!(place.is_none(), "it runs");
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.log_file()).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_fast-cloud"));
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            if name.starts_with("FASTCLOUD_") || name.starts_with("OS_") {
                command.env_remove(&*name);
            }
        }
        let mut process = command
            .current_dir(self.folder.path())
            .env("FASTCLOUD_SERVER__LISTEN", format!("127.0.0.1:{}", self.port))
            .env("FASTCLOUD_DATA__DIR", self.data())
            .envs(self.settings.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .env("FASTCLOUD_LOG__FILTER", "debug,fast_cloud=trace")
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let (sender, said) = mpsc::channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        *place = Some(process);
        drop(place);
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            match said.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) if line.contains("/setup?token=") => drop(self.setup_link.set(line.trim().to_owned())),
                Ok(line) if line.starts_with("fast cloud serves on") => return,
                Ok(_) => {}
                Err(_) => panic!("the portal did not start:\n{}", self.log()),
            }
        }
    }

    /// Where the first admin is made: a path. Printed by the first start.
    pub fn setup_link(&self) -> &str {
        let link = self.setup_link.get().expect("the first start prints a link");
        link.strip_prefix(&self.address()).expect("it leads to the portal")
    }

    fn pid(&self) -> u32 {
        self.process.lock().unwrap_or_else(PoisonError::into_inner).as_ref().expect("it runs").id()
    }

    /// Stops the process; the port is free then, and the data stays.
    pub fn stop(&self) {
        let taken = self.process.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut process) = taken else { return };
        signal(process.id(), "TERM");
        let until = Instant::now() + Duration::from_secs(60);
        while process.try_wait().unwrap().is_none() {
            if Instant::now() > until {
                let _ = process.kill();
                let _ = process.wait();
                panic!("the portal did not stop:\n{}", self.log());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The process stands still: connections are taken, and nothing is answered.
    pub fn freeze(&self) {
        signal(self.pid(), "STOP");
    }

    pub fn thaw(&self) {
        signal(self.pid(), "CONT");
    }

    /// The embedded database dies, if it is alive.
    pub fn kill_database(&self) {
        let Ok(pid) = std::fs::read_to_string(self.data().join("mysql/pid")) else { return };
        let _ = std::process::Command::new("kill").args(["-KILL", pid.trim()]).stderr(Stdio::null()).status();
    }

    fn cloud_file(&self) -> PathBuf {
        self.data().join("practice/compute.json")
    }

    /// The practice cloud's machines of this name.
    pub fn machines(&self, name: &str) -> usize {
        self.with_machines(|machines| machines.iter().filter(|machine| machine["name"] == name).count())
    }

    /// Changes the practice cloud behind the portal's back.
    pub fn with_machines<T>(&self, change: impl FnOnce(&mut Vec<Value>) -> T) -> T {
        use std::io::{Read, Seek, Write};
        let mut file = std::fs::OpenOptions::new().read(true).write(true).open(self.cloud_file()).unwrap();
        file.lock().unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        let mut state: Value = serde_json::from_str(&text).unwrap();
        let result = change(state["machines"].as_array_mut().unwrap());
        file.rewind().unwrap();
        let text = serde_json::to_vec(&state).unwrap();
        file.write_all(&text).unwrap();
        file.set_len(text.len() as u64).unwrap();
        result
    }

    /// The practice cloud no longer answers: its state can't be read.
    pub fn break_cloud(&self) {
        break_file(&self.cloud_file());
    }

    pub fn mend_cloud(&self) {
        mend_file(&self.cloud_file());
    }

    fn cluster_file(&self) -> PathBuf {
        self.data().join("practice/cluster.json")
    }

    /// The same for its containers.
    pub fn break_cluster(&self) {
        break_file(&self.cluster_file());
    }

    pub fn mend_cluster(&self) {
        mend_file(&self.cluster_file());
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn break_file(file: &Path) {
    std::fs::rename(file, file.with_extension("away")).unwrap();
    std::fs::create_dir(file).unwrap();
}

fn mend_file(file: &Path) {
    std::fs::remove_dir(file).unwrap();
    std::fs::rename(file.with_extension("away"), file).unwrap();
}

impl Drop for Portal {
    fn drop(&mut self) {
        // What a failed test left standing still could not end.
        let process = self.process.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(process) = process {
            signal(process.id(), "CONT");
        }
        self.stop();
        let log = std::fs::read_to_string(self.log_file()).unwrap_or_default();
        secrets::check("the portal's log", &log, &[]);
    }
}
