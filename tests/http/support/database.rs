//! Databases for tests: one server per test process, one database per portal.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use diesel::connection::SimpleConnection;
use diesel::mysql::MysqlConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};
use fast_cloud::embedded::Embedded;
use secrecy::{ExposeSecret, SecretString};
use url::Url;
use uuid::Uuid;

/// The variable that names a server to test against, such as `mysql://user:password@127.0.0.1:3306/`.
const VARIABLE: &str = "FASTCLOUD_TEST_DATABASE_URL";

/// A folder for a test, removed at the end; in memory where that is possible.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        let memory = Path::new("/dev/shm");
        let place = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let path = place.join(format!("fast-cloud-test-{}", Uuid::new_v4().simple()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

struct Server {
    url: Url,
    /// Never dropped, as statics are not: [`watch`] ends the server when this process has ended, however it has.
    _embedded: Option<(Embedded, Child)>,
}

/// A shell that waits for the end of this process, then stops the server and removes its folder.
fn watch(dir: &Path) -> Child {
    let script = "cat > /dev/null; pid=$(cat \"$0/mysql/pid\"); kill \"$pid\"; \
                  while kill -0 \"$pid\" 2> /dev/null; do sleep 0.1; done; rm -rf \"$0\"";
    Command::new("sh")
        .args(["-c", script])
        .arg(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .unwrap()
}

fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        if let Ok(url) = std::env::var(VARIABLE) {
            return Server { url: Url::parse(url.trim()).unwrap(), _embedded: None };
        }
        let folder = Folder::new();
        let watcher = watch(folder.path());
        let embedded = Embedded::start(folder.path()).unwrap();
        std::mem::forget(folder);
        Server { url: Url::parse(embedded.url.expose_secret()).unwrap(), _embedded: Some((embedded, watcher)) }
    })
}

/// A database with nothing in it, dropped at the end.
pub struct Database {
    name: String,
    pub url: SecretString,
    /// Of a server that the test owns: nothing is dropped, the server ends with the test.
    own_server: bool,
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Nullable<Text>)]
    line: Option<String>,
}

fn url_of(server: &Url, name: &str) -> SecretString {
    let mut url = server.clone();
    url.set_path(&format!("/{name}"));
    SecretString::from(url.to_string())
}

impl Database {
    /// On the shared server.
    pub fn new() -> Self {
        let server = server();
        let name = format!("t_{}", Uuid::new_v4().simple());
        let mut conn = MysqlConnection::establish(url_of(&server.url, "information_schema").expose_secret()).unwrap();
        conn.batch_execute(&format!("CREATE DATABASE {name} CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci"))
            .unwrap();
        Self { url: url_of(&server.url, &name), name, own_server: false }
    }

    /// The database of a server that the test stops and starts itself.
    pub fn of_own_server(url: SecretString) -> Self {
        Self { name: "fast_cloud".to_owned(), url, own_server: true }
    }

    pub fn connect(&self) -> MysqlConnection {
        fast_cloud::db::connect(&self.url).unwrap()
    }

    /// Statements behind the portal's back; done again when they lose against one of its own transactions.
    pub fn sql(&self, statement: &str) {
        fast_cloud::db::transaction(&mut self.connect(), |conn| conn.batch_execute(statement))
            .unwrap_or_else(|error| panic!("{statement}: {error}"));
    }

    /// `SELECT COUNT(*) FROM {of}`
    pub fn count(&self, of: &str) -> i64 {
        let count: Count =
            diesel::sql_query(format!("SELECT COUNT(*) AS n FROM {of}")).get_result(&mut self.connect()).unwrap();
        count.n
    }

    /// The values of one expression, as text.
    pub fn texts(&self, expression: &str, from: &str) -> Vec<String> {
        let query = format!("SELECT CAST({expression} AS CHAR) AS line FROM {from}");
        let lines: Vec<Line> =
            diesel::sql_query(&query).load(&mut self.connect()).unwrap_or_else(|e| panic!("{query}: {e}"));
        lines.into_iter().map(|line| line.line.unwrap_or_default()).collect()
    }

    /// The one value of an expression.
    pub fn text(&self, expression: &str, from: &str) -> String {
        let mut all = self.texts(expression, from);
        assert_eq!(all.len(), 1, "{expression} of {from}: {all:?}");
        all.remove(0)
    }

    fn tables(&self) -> Vec<String> {
        let from = format!("information_schema.tables WHERE table_schema = '{}' ORDER BY table_name", self.name);
        self.texts("table_name", &from)
    }

    /// Everything that the database holds, a line a row, each value in hexadecimal.
    pub fn dump(&self) -> String {
        let mut dump = String::new();
        for table in self.tables() {
            let from = format!(
                "information_schema.columns WHERE table_schema = '{}' AND table_name = '{table}' ORDER BY ordinal_position",
                self.name
            );
            let columns: Vec<String> = self
                .texts("column_name", &from)
                .iter()
                .map(|column| format!("IFNULL(HEX(CAST(`{column}` AS BINARY)), 'NULL')"))
                .collect();
            let mut lines = self.texts(&format!("CONCAT_WS(' ', {})", columns.join(", ")), &format!("`{table}`"));
            lines.sort();
            for line in lines {
                dump.push_str(&format!("{table}: {line}\n"));
            }
        }
        dump
    }

    /// Whether any column of any table holds these bytes.
    pub fn holds(&self, bytes: &[u8]) -> bool {
        let digits = hex::encode_upper(bytes);
        self.dump().split(['\n', ' ']).any(|value| value.match_indices(&digits).any(|(place, _)| place % 2 == 0))
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if self.own_server {
            return;
        }
        let dropped = MysqlConnection::establish(url_of(&server().url, "information_schema").expose_secret())
            .map_err(|error| error.to_string())
            .and_then(|mut conn| {
                conn.batch_execute(&format!("DROP DATABASE {}", self.name)).map_err(|error| error.to_string())
            });
        if let Err(error) = dropped {
            let _ = writeln!(std::io::stderr(), "{} stays: {error}", self.name);
        }
    }
}
