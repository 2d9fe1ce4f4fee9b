//! A container's index: a file to which a line is added for each change, read into memory.

use std::collections::{BTreeMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::disk;
use crate::cloud::CloudError;
use crate::cloud::objects::{ContainerUse, Mark, ObjectInfo};
use crate::ids::{BucketId, UploadId};

/// Lines beyond the objects that there are, before the file is written anew.
const MAX_HISTORY: u64 = 10_000;

/// Where an object's bytes are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Body {
    File(Uuid),
    /// The container, and the names of the objects in it that make up the file.
    Segments(String, Vec<String>),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stored {
    pub(super) body: Body,
    pub(super) bytes: u64,
    pub(super) etag: String,
    pub(super) content_type: String,
    pub(super) modified: DateTime<Utc>,
    pub(super) upload: Option<UploadId>,
}

impl Stored {
    pub(super) fn is_large(&self) -> bool {
        matches!(self.body, Body::Segments(..))
    }

    pub(super) fn info(&self) -> ObjectInfo {
        ObjectInfo {
            bytes: self.bytes,
            etag: self.etag.clone(),
            content_type: self.content_type.clone(),
            modified: Some(self.modified),
            large: self.is_large(),
            upload: self.upload,
        }
    }

    fn file(&self) -> Option<Uuid> {
        match self.body {
            Body::File(id) => Some(id),
            Body::Segments(..) => None,
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    /// The first line.
    Container {
        name: String,
        portal: Uuid,
        bucket: BucketId,
    },
    Put {
        name: String,
        stored: Stored,
    },
    Delete {
        names: Vec<String>,
    },
}

/// Of one container.
pub(super) struct Index {
    pub(super) dir: PathBuf,
    name: String,
    pub(super) mark: Option<Mark>,
    pub(super) objects: BTreeMap<String, Stored>,
    /// Which file was read, and how far: another process may have added to it, or written it anew.
    inode: u64,
    read: u64,
    lines: u64,
    /// Whether what dead processes left has been looked for.
    pub(super) swept: bool,
}

fn file_of(dir: &Path) -> PathBuf {
    dir.join("index")
}

pub(super) fn exists(dir: &Path) -> bool {
    file_of(dir).is_file()
}

/// The name of the container in a folder, if it is one.
pub(super) fn container_in(dir: &Path) -> Option<String> {
    let mut first = String::new();
    BufReader::new(File::open(file_of(dir)).ok()?).read_line(&mut first).ok()?;
    match serde_json::from_str(&first).ok()? {
        Line::Container { name, .. } => Some(name),
        _ => None,
    }
}

/// Makes a container; its index last, so that half a folder is none.
pub(super) fn create(dir: &Path, name: &str, mark: Mark) -> std::io::Result<()> {
    for part in ["new", "files"] {
        std::fs::create_dir_all(dir.join(part))?;
    }
    let first = Line::Container { name: name.to_owned(), portal: mark.portal, bucket: mark.bucket };
    let fresh = dir.join("index.new");
    let mut file = File::create(&fresh)?;
    writeln!(file, "{}", serde_json::to_string(&first)?)?;
    file.sync_data()?;
    std::fs::rename(fresh, file_of(dir))
}

impl Index {
    pub(super) fn at(dir: &Path) -> Self {
        let (name, mark, objects) = (String::new(), None, BTreeMap::new());
        Self { dir: dir.to_owned(), name, mark, objects, inode: 0, read: 0, lines: 0, swept: false }
    }

    pub(super) fn usage(&self) -> ContainerUse {
        // As Swift counts: of a large file, what is in its segments counts there.
        let own = |stored: &Stored| if stored.is_large() { 0 } else { stored.bytes };
        ContainerUse {
            name: self.name.clone(),
            bytes: self.objects.values().map(own).sum(),
            objects: self.objects.len() as u64,
        }
    }

    pub(super) fn find(&self, name: &str) -> Result<&Stored, CloudError> {
        self.objects.get(name).ok_or_else(|| CloudError::NotFound("no such object".to_owned()))
    }

    /// Those that objects are in.
    pub(super) fn files(&self) -> HashSet<Uuid> {
        self.objects.values().filter_map(Stored::file).collect()
    }

    /// Takes over what other processes have added.
    pub(super) fn refresh(&mut self) -> std::io::Result<()> {
        let mut file = File::open(file_of(&self.dir))?;
        let inode = file.metadata()?.ino();
        if inode != self.inode {
            *self = Self { inode, swept: self.swept, ..Self::at(&self.dir) };
        }
        file.seek(SeekFrom::Start(self.read))?;
        let mut lines = BufReader::new(file);
        let mut line = Vec::new();
        loop {
            line.clear();
            let length = lines.read_until(b'\n', &mut line)?;
            // A line that a killed process did not get to the end of is none; the next one is written over it.
            if length == 0 || line.last() != Some(&b'\n') {
                return Ok(());
            }
            self.read += length as u64;
            self.lines += 1;
            self.apply(serde_json::from_slice(&line)?);
        }
    }

    fn apply(&mut self, line: Line) {
        match line {
            Line::Container { name, portal, bucket } => {
                self.name = name;
                self.mark = Some(Mark { portal, bucket });
            }
            Line::Put { name, stored } => {
                self.objects.insert(name, stored);
            }
            Line::Delete { names } => names.iter().for_each(|name| {
                self.objects.remove(name);
            }),
        }
    }

    fn append(&mut self, line: Line) -> std::io::Result<()> {
        let mut text = serde_json::to_vec(&line)?;
        text.push(b'\n');
        let mut file = OpenOptions::new().write(true).open(file_of(&self.dir))?;
        file.set_len(self.read)?;
        file.seek(SeekFrom::End(0))?;
        file.write_all(&text)?;
        file.sync_data()?;
        self.read += text.len() as u64;
        self.lines += 1;
        self.apply(line);
        if self.lines > self.objects.len() as u64 * 2 + MAX_HISTORY { self.rewrite() } else { Ok(()) }
    }

    /// Only what there is.
    fn rewrite(&mut self) -> std::io::Result<()> {
        let Some(mark) = self.mark else { return Ok(()) };
        let fresh = self.dir.join("index.new");
        let mut file = std::io::BufWriter::new(File::create(&fresh)?);
        let first = Line::Container { name: self.name.clone(), portal: mark.portal, bucket: mark.bucket };
        writeln!(file, "{}", serde_json::to_string(&first)?)?;
        for (name, stored) in &self.objects {
            let line = Line::Put { name: name.clone(), stored: stored.clone() };
            writeln!(file, "{}", serde_json::to_string(&line)?)?;
        }
        let file = file.into_inner().map_err(std::io::IntoInnerError::into_error)?;
        file.sync_data()?;
        std::fs::rename(fresh, file_of(&self.dir))?;
        (self.inode, self.read, self.lines) =
            (file.metadata()?.ino(), file.metadata()?.len(), self.objects.len() as u64 + 1);
        Ok(())
    }

    /// Puts a new file (in `new`) in the place of an object.
    pub(super) fn put(&mut self, name: &str, stored: Stored) -> Result<(), CloudError> {
        if let Some(id) = stored.file() {
            let id = id.to_string();
            std::fs::rename(self.dir.join("new").join(&id), self.dir.join("files").join(&id)).map_err(disk)?;
        }
        let old = self.objects.get(name).and_then(Stored::file);
        self.append(Line::Put { name: name.to_owned(), stored }).map_err(disk)?;
        self.drop_files(old.into_iter().collect());
        Ok(())
    }

    /// Removes a file that was written for nothing.
    pub(super) fn forget_new(&self, stored: &Stored) {
        if let Some(id) = stored.file() {
            let _ = std::fs::remove_file(self.dir.join("new").join(id.to_string()));
        }
    }

    pub(super) fn remove(&mut self, names: &[String]) -> Result<(), CloudError> {
        let there: Vec<String> = names.iter().filter(|name| self.objects.contains_key(*name)).cloned().collect();
        if there.is_empty() {
            return Ok(());
        }
        let files = there.iter().filter_map(|name| self.objects.get(name)?.file()).collect();
        self.append(Line::Delete { names: there }).map_err(disk)?;
        self.drop_files(files);
        Ok(())
    }

    /// Their lines are gone; a file that can't be removed now is swept later.
    fn drop_files(&self, files: HashSet<Uuid>) {
        for id in files {
            let _ = std::fs::remove_file(self.dir.join("files").join(id.to_string()));
        }
    }
}
