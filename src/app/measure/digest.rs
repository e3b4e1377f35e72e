//! Which router it was, by the contents of its files rather than by their place.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use sha2::{Digest, Sha256};

use crate::app::replace::replace_file;
use crate::engine::{RouterSource, router_files};
use crate::formats::hex;

/// Returns the SHA-256 over the names and contents of a router's files, in hexadecimal; `None` for a router that runs elsewhere or cannot be read.
///
/// Gigabytes are read once: digests of files are remembered by place, size and time, in the file `memory` or, without one, in the user's folder
/// for caches. Takes seconds the first time, so not for the thread that draws.
pub fn router_digest(source: &RouterSource, memory: Option<&Path>) -> Option<String> {
    let files = router_files(source);
    if files.is_empty() {
        return None;
    }
    let of_user = || dirs::cache_dir().map(|folder| folder.join("waypost").join("digests.json"));
    let memory = memory.map(Path::to_owned).or_else(of_user);
    let remembered: BTreeMap<String, String> =
        memory.as_ref().and_then(|path| serde_json::from_slice(&std::fs::read(path).ok()?).ok()).unwrap_or_default();
    let mut known = remembered.clone();
    let mut whole = Sha256::new();
    for file in files {
        let digest = match known.get(&place(&file)?) {
            Some(digest) => digest.clone(),
            None => {
                let digest = file_digest(&file)?;
                known.insert(place(&file)?, digest.clone());
                digest
            }
        };
        whole.update(format!("{} {digest}\n", file.file_name()?.to_string_lossy()));
    }
    if let Some(path) = memory.filter(|_| known != remembered) {
        remember(&path, &known);
    }
    Some(hex(&whole.finalize()))
}

/// What changes with the contents of a file, as every build tool takes it.
fn place(file: &Path) -> Option<String> {
    let path: PathBuf = file.canonicalize().ok()?;
    let metadata = path.metadata().ok()?;
    let time = metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?.as_nanos();
    Some(format!("{} {} {time}", path.display(), metadata.len()))
}

fn file_digest(path: &Path) -> Option<String> {
    let mut file = File::open(path).ok()?;
    let (mut digest, mut part) = (Sha256::new(), vec![0; 1 << 20]);
    loop {
        match file.read(&mut part).ok()? {
            0 => return Some(hex(&digest.finalize())),
            read => digest.update(&part[..read]),
        }
    }
}

/// A memory that cannot be written costs time, nothing else.
fn remember(path: &Path, known: &BTreeMap<String, String>) {
    if let (Some(folder), Ok(json)) = (path.parent(), serde_json::to_vec_pretty(known)) {
        std::fs::create_dir_all(folder).and_then(|()| replace_file(path, |file| file.write_all(&json))).ok();
    }
}
