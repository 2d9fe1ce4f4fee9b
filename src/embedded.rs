//! The embedded database: a private `mariadbd` with its data in the data folder, on a unix socket in a folder that only
//! its owner can enter, started and stopped by the portal.
//!
//! The process that holds the lock file owns the server. When it dies without stopping it, the next start finds the
//! server by its pid file and takes it over, if it is really ours and answers; else it is ended and replaced. A second
//! portal process on the same folder uses the server and leaves stopping it to the owner. A server that ends by itself, or
//! is killed, is started again within a second or two.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use diesel::connection::SimpleConnection;
use diesel::mysql::MysqlConnection;
use diesel::prelude::*;
use secrecy::{ExposeSecret, SecretString};

/// How long a start may take; recovery after a crash is part of it.
const START: Duration = Duration::from_secs(60);
/// How long a clean stop may take before the server is killed (it recovers at the next start).
const STOP: Duration = Duration::from_secs(30);
/// How often the server is looked after.
const LOOK: Duration = Duration::from_secs(1);
/// How long a server that runs may take to answer one that asks.
const ANSWER: Duration = Duration::from_secs(10);
/// Bytes that a path of a unix socket may have (`sun_path`, unix(7)), less the NUL.
const SOCKET_PATH: usize = 107;

/// A running server. Dropped by its owner, it is stopped.
pub struct Embedded {
    /// `mysql://…`, the database in it.
    pub url: SecretString,
    owned: Option<Keeper>,
}

/// Keeps the server running: one that ends without being told to is started again.
struct Keeper {
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<Owned>>,
}

impl Keeper {
    fn new(paths: Paths, mut owned: Owned) -> Self {
        let stopping = Arc::new(AtomicBool::new(false));
        let told = stopping.clone();
        let thread = std::thread::spawn(move || {
            let mut pause = LOOK;
            while !told.load(Ordering::Relaxed) {
                std::thread::park_timeout(pause);
                if told.load(Ordering::Relaxed) || owned.runs() {
                    pause = LOOK;
                    continue;
                }
                tracing::error!(log = %paths.log.display(), "the embedded database has ended; starting it again");
                match owned.start_again(&paths) {
                    // A server that ends again and again is not started each second.
                    Ok(()) => pause = LOOK * 5,
                    Err(error) => {
                        tracing::error!(error = format!("{error:#}"), "it could not be started; trying again");
                        pause = (pause * 2).min(Duration::from_secs(30));
                    }
                }
            }
            owned
        });
        Self { stopping, thread: Some(thread) }
    }

    fn stop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        self.stopping.store(true, Ordering::Relaxed);
        thread.thread().unpark();
        match thread.join() {
            Ok(owned) => owned.stop(),
            Err(_) => tracing::error!("the keeper of the embedded database has panicked; the next start takes it over"),
        }
    }
}

struct Owned {
    pid: u32,
    child: Option<Child>,
    pid_file: PathBuf,
    _lock: File,
}

struct Paths {
    data: PathBuf,
    socket: PathBuf,
    pid_file: PathBuf,
    log: PathBuf,
    lock: PathBuf,
    temporary: PathBuf,
}

impl Paths {
    fn new(dir: &Path) -> anyhow::Result<Self> {
        let home = dir.join("mysql");
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&home)
            .with_context(|| format!("making the folder of the embedded database, {}", home.display()))?;
        let home = home.canonicalize()?;
        // A folder that was there before, from a backup or a volume, may be open to others: whoever can enter it is the
        // database's root.
        std::fs::set_permissions(&home, std::fs::Permissions::from_mode(0o700))
            .with_context(|| format!("closing {} to others; it has to be this user's own", home.display()))?;
        // mariadbd removes what looks like its own leftovers from its folder for temporary files: not from /tmp.
        let temporary = home.join("tmp");
        std::fs::create_dir_all(&temporary)?;
        let mut socket = home.join("socket");
        if socket.as_os_str().len() > SOCKET_PATH {
            // The folder's identity names the short one, so that every process finds the same.
            let meta = std::fs::metadata(&home)?;
            let short = std::env::temp_dir().join(format!("fast-cloud-{:x}-{:x}", meta.dev(), meta.ino()));
            match std::fs::DirBuilder::new().mode(0o700).create(&short) {
                Ok(()) => {}
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                    let owner = std::fs::symlink_metadata(&short)?;
                    if !owner.is_dir() || owner.uid() != meta.uid() || owner.mode() & 0o077 != 0 {
                        bail!("{} is somebody else's; set data.dir to a shorter path", short.display());
                    }
                }
                Err(error) => return Err(error).with_context(|| format!("making {}", short.display())),
            }
            socket = short.join("socket");
        }
        Ok(Self {
            data: home.join("data"),
            socket,
            pid_file: home.join("pid"),
            log: home.join("log"),
            lock: home.join("lock"),
            temporary,
        })
    }

    fn url(&self, database: &str) -> SecretString {
        let socket: String = url::form_urlencoded::byte_serialize(self.socket.as_os_str().as_encoded_bytes()).collect();
        SecretString::from(format!("mysql://root@localhost/{database}?unix_socket={socket}"))
    }
}

impl Embedded {
    /// Starts, adopts or joins the server of a data folder, and makes the database in it.
    ///
    /// # Errors
    /// When `mariadbd` is not installed, does not start (its log is named), or the folder can't be used.
    pub fn start(dir: &Path) -> anyhow::Result<Self> {
        let paths = Paths::new(dir)?;
        let lock = OpenOptions::new().write(true).create(true).truncate(false).open(&paths.lock)?;
        let owned = match lock.try_lock() {
            Ok(()) => Some(own(&paths, lock)?),
            Err(std::fs::TryLockError::WouldBlock) => {
                tracing::info!("another portal process has the embedded database; using it");
                None
            }
            Err(std::fs::TryLockError::Error(error)) => return Err(error).context("locking the embedded database"),
        };
        wait_until_it_answers(&paths, owned.as_ref().map(|owned| owned.pid))?;
        let mut conn = MysqlConnection::establish(paths.url("").expose_secret())?;
        conn.batch_execute(
            "CREATE DATABASE IF NOT EXISTS fast_cloud CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci",
        )?;
        let url = paths.url("fast_cloud");
        Ok(Self { url, owned: owned.map(|owned| Keeper::new(paths, owned)) })
    }

    /// Stops the server, if this process owns it.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        if let Some(mut keeper) = self.owned.take() {
            keeper.stop();
        }
    }
}

impl Owned {
    fn start_again(&mut self, paths: &Paths) -> anyhow::Result<()> {
        if let Some(child) = &mut self.child {
            // Reaped, so that no zombie is left.
            child.wait()?;
        }
        let child = launch(paths)?;
        self.pid = child.id();
        self.child = Some(child);
        std::fs::write(&paths.pid_file, self.pid.to_string()).context("writing the pid file")
    }

    fn stop(mut self) {
        tracing::info!("stopping the embedded database");
        signal(self.pid, "TERM");
        let until = Instant::now() + STOP;
        while self.runs() {
            if Instant::now() > until {
                tracing::warn!(
                    "the embedded database did not stop in time; it is killed and recovers at the next start"
                );
                signal(self.pid, "KILL");
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        if let Some(child) = &mut self.child {
            // Reaped, so that no zombie is left.
            let _ = child.wait();
        }
        let _ = std::fs::remove_file(&self.pid_file);
    }

    fn runs(&mut self) -> bool {
        match &mut self.child {
            Some(child) => matches!(child.try_wait(), Ok(None)),
            None => process_exists(self.pid),
        }
    }
}

fn process_exists(pid: u32) -> bool {
    // A zombie has ended; its parent has not looked yet.
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| stat.rsplit(')').next().is_none_or(|rest| !rest.trim_start().starts_with('Z')))
}

/// `kill(1)`: signals need `unsafe` or another crate otherwise.
fn signal(pid: u32, name: &str) {
    let sent = Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).stderr(Stdio::null()).status();
    if let Err(error) = sent {
        tracing::error!(%error, pid, "the embedded database could not be signalled");
    }
}

/// Takes a server over that a dead owner left, or starts one.
fn own(paths: &Paths, lock: File) -> anyhow::Result<Owned> {
    if let Some(pid) = left_behind(paths) {
        if answers(paths).is_ok() {
            tracing::info!(pid, "taking over the embedded database that an earlier process left");
            return Ok(Owned { pid, child: None, pid_file: paths.pid_file.clone(), _lock: lock });
        }
        tracing::warn!(pid, "the embedded database that an earlier process left does not answer; replacing it");
        Owned { pid, child: None, pid_file: paths.pid_file.clone(), _lock: lock.try_clone()? }.stop();
    }
    if !paths.data.join("mysql").is_dir() {
        install(paths)?;
    }
    let child = launch(paths)?;
    let pid = child.id();
    let mut file = File::create(&paths.pid_file)?;
    write!(file, "{pid}")?;
    Ok(Owned { pid, child: Some(child), pid_file: paths.pid_file.clone(), _lock: lock })
}

/// The pid of a server on this folder, if it still runs: the number alone could be somebody else's by now.
fn left_behind(paths: &Paths) -> Option<u32> {
    let pid: u32 = std::fs::read_to_string(&paths.pid_file).ok()?.trim().parse().ok()?;
    let command = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let ours = format!("--datadir={}", paths.data.display());
    let is_ours = command.split(|byte| *byte == 0).any(|argument| argument == ours.as_bytes());
    (is_ours && process_exists(pid)).then_some(pid)
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0)
}

/// The server's program; in `/usr/sbin`, which is not in everybody's PATH.
fn program(name: &str) -> PathBuf {
    let places = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&places)
        .chain(["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/libexec"].map(PathBuf::from))
        .map(|place| place.join(name))
        .find(|path| path.is_file())
        .unwrap_or_else(|| PathBuf::from(name))
}

const NOT_INSTALLED: &str = "the embedded database needs mariadbd: install the package mariadb-server-core \
     (Debian, Ubuntu), or set database.url to a server of your own";

fn install(paths: &Paths) -> anyhow::Result<()> {
    tracing::info!("first start: making the embedded database");
    // A first start that was interrupted leaves a half-made folder; nothing of value is in it.
    if paths.data.exists() {
        std::fs::remove_dir_all(&paths.data)?;
    }
    let fresh = paths.data.with_extension("new");
    if fresh.exists() {
        std::fs::remove_dir_all(&fresh)?;
    }
    let mut command = Command::new(program("mariadb-install-db"));
    command
        .arg("--no-defaults")
        .arg(format!("--datadir={}", fresh.display()))
        // It is a shell script that quotes the data folder's path and no other: this one goes by the environment.
        .env("TMPDIR", &paths.temporary)
        // Who may enter the socket's folder is the only login: it is the owner's alone.
        .args(["--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve"])
        .stdin(Stdio::null());
    if is_root() {
        // The server's own word for `--user`, which the script passes on as it is. By the plain one it would also hand
        // folders over to that user: a path with a blank in two halves, and the PAM plugin's of the whole system.
        command.arg("--loose-user=root");
    }
    let output = command.output().context(NOT_INSTALLED)?;
    if !output.status.success() {
        bail!("mariadb-install-db failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    std::fs::rename(&fresh, &paths.data).context("putting the new database in its place")
}

fn launch(paths: &Paths) -> anyhow::Result<Child> {
    let log = OpenOptions::new().create(true).append(true).open(&paths.log)?;
    let mut command = Command::new(program("mariadbd"));
    command
        .arg("--no-defaults")
        .arg(format!("--datadir={}", paths.data.display()))
        .arg(format!("--socket={}", paths.socket.display()))
        .arg(format!("--tmpdir={}", paths.temporary.display()))
        .args([
            "--skip-networking",
            "--skip-log-bin",
            "--skip-name-resolve",
            "--performance-schema=OFF",
            "--innodb-buffer-pool-size=64M",
            "--innodb-log-file-size=32M",
            "--max-connections=100",
            "--character-set-server=utf8mb4",
        ])
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        // Ctrl-C in the terminal is for the portal, which then stops the server after its own work.
        .process_group(0);
    if is_root() {
        command.arg("--user=root");
    }
    command.spawn().context(NOT_INSTALLED)
}

/// Whether the server takes a connection, within [`ANSWER`]: the client library waits for ever for one that hangs.
fn answers(paths: &Paths) -> Result<(), String> {
    let url = paths.url("");
    let (send, answer) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let tried = MysqlConnection::establish(url.expose_secret()).map(drop).map_err(|error| error.to_string());
        // Nobody listens any more when it took too long.
        let _ = send.send(tried);
    });
    answer.recv_timeout(ANSWER).unwrap_or_else(|_| Err("no answer in time".to_owned()))
}

fn wait_until_it_answers(paths: &Paths, pid: Option<u32>) -> anyhow::Result<()> {
    let until = Instant::now() + START;
    loop {
        let Err(error) = answers(paths) else { return Ok(()) };
        if pid.is_some_and(|pid| !process_exists(pid)) {
            bail!("the embedded database ended while starting; see {}", paths.log.display());
        }
        if Instant::now() > until {
            bail!("the embedded database does not answer ({error}); see {}", paths.log.display());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
