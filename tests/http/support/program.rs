//! The program itself, as a process with a configuration in its environment.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::database::Folder;
use super::log::Mark;
use super::secrets;

/// A folder to work in, and what the program is told there.
pub struct Place {
    folder: Folder,
    variables: Vec<(String, String)>,
    pub base: String,
}

impl Place {
    /// With the embedded database in `data`, and a port that was free just now.
    pub fn new() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut place = Self { folder: Folder::new(), variables: Vec::new(), base: format!("http://127.0.0.1:{port}") };
        place.set("SERVER__LISTEN", &format!("127.0.0.1:{port}"));
        place
    }

    /// Another process on the same data.
    pub fn beside(&self) -> Self {
        let mut other = Self::new();
        other.set("DATA__DIR", self.data().to_str().unwrap());
        other
    }

    pub fn set(&mut self, key: &str, value: &str) {
        let name = format!("FASTCLOUD_{key}");
        self.variables.retain(|(there, _)| *there != name);
        self.variables.push((name, value.to_owned()));
    }

    /// The program stops dead where it comes to this failpoint; None: it does not.
    #[cfg(feature = "failpoints")]
    pub fn freeze_at(&mut self, point: Option<&str>) {
        self.variables.retain(|(there, _)| there != "FREEZE_AT");
        self.variables.extend(point.map(|point| ("FREEZE_AT".to_owned(), point.to_owned())));
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn data(&self) -> PathBuf {
        let dir =
            self.variables.iter().find(|(name, _)| name == "FASTCLOUD_DATA__DIR").map_or("data", |(_, value)| value);
        self.path().join(dir)
    }

    pub fn write(&self, file: &str, text: &str) {
        std::fs::write(self.path().join(file), text).unwrap();
    }

    /// The program with these arguments, knowing nothing of the environment that the tests run in.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fast-cloud"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("FASTCLOUD_") || name.to_string_lossy().starts_with("OS_") {
                command.env_remove(name);
            }
        }
        command.env("KUBECONFIG", "none.kubeconfig");
        // As talkative as it can be made: its output is looked through for secrets.
        command.env("FASTCLOUD_LOG__FILTER", "debug,fast_cloud=trace");
        command.args(arguments).current_dir(self.path()).envs(self.variables.clone()).env("RUST_BACKTRACE", "0");
        command
    }

    /// Runs it to its end.
    pub fn run(&self, arguments: &[&str]) -> Run {
        self.run_with_input(arguments, "")
    }

    pub fn run_with_input(&self, arguments: &[&str], input: &str) -> Run {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // One that does not read may have ended already.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        Run::of(child.wait_with_output().unwrap())
    }

    pub fn serve(&self) -> Served {
        let log = Mark::here();
        let mut child =
            self.command(&[]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        for stream in [
            Box::new(child.stdout.take().unwrap()) as Box<dyn std::io::Read + Send>,
            Box::new(child.stderr.take().unwrap()),
        ] {
            let said = said.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    said.lock().unwrap().push_str(&format!("{line}\n"));
                }
            });
        }
        let mut served = Served { child, said, log };
        served.wait_for("fast cloud serves on");
        served
    }

    /// The database server of this folder, if one runs.
    pub fn database_process(&self) -> Option<u32> {
        let data = self.data().canonicalize().ok()?.join("mysql/data");
        let wanted = format!("--datadir={}", data.display());
        std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).find(
            |pid: &u32| {
                let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                let ours = command.split(|byte| *byte == 0).any(|argument| argument == wanted.as_bytes());
                let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
                let zombie = state.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z'));
                ours && !zombie
            },
        )
    }
}

impl Drop for Place {
    /// A test that failed leaves no server behind.
    fn drop(&mut self) {
        if self.data().starts_with(self.path())
            && let Some(pid) = self.database_process()
        {
            signal(pid, "KILL");
        }
    }
}

pub fn signal(pid: u32, name: &str) {
    let _ = Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).stderr(Stdio::null()).status();
}

/// How a run ended, and what it said.
pub struct Run {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Run {
    fn of(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
    }

    /// Fails unless it ended with this code.
    #[track_caller]
    pub fn ended(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}\n{}", self.out, self.err);
        self
    }
}

/// A process that serves; killed when dropped.
pub struct Served {
    child: Child,
    said: Arc<Mutex<String>>,
    log: Mark,
}

impl Served {
    pub fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    pub fn wait_for(&mut self, words: &str) {
        let end = Instant::now() + Duration::from_secs(60);
        while !self.said().contains(words) {
            assert!(self.child.try_wait().unwrap().is_none() && Instant::now() < end, "no {words:?}: {}", self.said());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    /// Waits for its end; the exit code, if it ended by itself.
    pub fn wait(&mut self) -> Option<i32> {
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < end, "it does not end: {}", self.said());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// As a machine that loses its power does.
    pub fn kill(&mut self) {
        self.signal("KILL");
        self.wait();
    }

    /// As a service manager does.
    pub fn stop(&mut self) {
        self.signal("TERM");
        assert_eq!(self.wait(), Some(0), "{}", self.said());
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // The link for the first admin is for whoever reads it, once.
        let said = self.said();
        let said: Vec<&str> = said.lines().filter(|line| !line.contains("/setup?token=")).collect();
        secrets::check("the program's output", &said.join("\n"), &self.log.secrets());
    }
}
