//! What the Hub declares about the content of a file, and checking files against it.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use super::EngineError;
use super::hub::find;
use super::protocol::CancelToken;
use crate::formats::hex;

/// The digest of a file. Large files are declared by their SHA-256, small ones by the identifier that git gives them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Digest {
    Sha256(String),
    /// SHA-1 over `blob`, the length and the content.
    Git(String),
}

impl Digest {
    /// Reads a SHA-256 in hexadecimal digits.
    pub fn sha256(hex: &str) -> Option<Self> {
        is_hex(hex, 64).then(|| Self::Sha256(hex.to_ascii_lowercase()))
    }

    /// Reads git's identifier of a file.
    pub fn git(hex: &str) -> Option<Self> {
        is_hex(hex, 40).then(|| Self::Git(hex.to_ascii_lowercase()))
    }

    /// Returns the hexadecimal digits, which are the file's name in the cache.
    pub fn hex(&self) -> &str {
        match self {
            Self::Sha256(hex) | Self::Git(hex) => hex,
        }
    }
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Computes the digest of a file, of the same kind as `like`; `progress` gets the bytes read so far.
///
/// # Errors
/// Fails when the file cannot be read, and on cancellation.
pub fn check_file(path: &Path, like: &Digest, progress: &mut dyn FnMut(u64), cancel: &CancelToken) -> Result<Digest, EngineError> {
    let failed = |error: std::io::Error| EngineError::router(format!("{}: {error}", path.display()));
    let mut file = File::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    let mut sha256 = Sha256::new();
    let mut git = Sha1::new_with_prefix(format!("blob {length}\0"));
    let mut buffer = vec![0; 1 << 20];
    let mut done = 0;
    loop {
        cancel.check()?;
        let read = file.read(&mut buffer).map_err(failed)?;
        if read == 0 {
            break;
        }
        match like {
            Digest::Sha256(_) => sha256.update(&buffer[..read]),
            Digest::Git(_) => git.update(&buffer[..read]),
        }
        done += read as u64;
        progress(done);
    }
    Ok(match like {
        Digest::Sha256(_) => Digest::Sha256(hex(&sha256.finalize())),
        Digest::Git(_) => Digest::Git(hex(&git.finalize())),
    })
}

/// One file of a router, read again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    pub name: String,
    /// Where its bytes lie, which in the cache is another place than its name's.
    pub path: PathBuf,
    pub bytes: u64,
    /// As it is now.
    pub digest: Digest,
    /// Whether it is what the Hub declared when it was downloaded; `None` where nothing was declared.
    pub is_intact: Option<bool>,
}

/// Reads every file of a downloaded router again and compares it with what the Hub declared, without the network.
///
/// # Errors
/// Fails when the router is not there or cannot be read, and on cancellation.
pub fn verify_hub(id: &str, progress: &mut dyn FnMut(u64), cancel: &CancelToken) -> Result<Vec<Checked>, EngineError> {
    let cached = find(id)?;
    let mut before = 0;
    let mut checked = Vec::new();
    for name in cached.files {
        let file = verify_file(&cached.snapshot.join(&name), &mut |done| progress(before + done), cancel)?;
        before += file.bytes;
        checked.push(file);
    }
    Ok(checked)
}

/// Reads one file again. Files of the cache are named by their digests; of any other the SHA-256 is told.
///
/// # Errors
/// Fails when it cannot be read, and on cancellation.
pub fn verify_file(path: &Path, progress: &mut dyn FnMut(u64), cancel: &CancelToken) -> Result<Checked, EngineError> {
    let failed = |error: std::io::Error| EngineError::router(format!("{}: {error}", path.display()));
    let blob = std::fs::canonicalize(path).map_err(failed)?;
    let blob_name = blob.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let declared = Digest::sha256(&blob_name).or_else(|| Digest::git(&blob_name));
    let like = declared.clone().unwrap_or(Digest::Sha256(String::new()));
    let digest = check_file(path, &like, progress, cancel)?;
    Ok(Checked {
        name: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        bytes: blob.metadata().map_err(failed)?.len(),
        is_intact: declared.map(|declared| declared == digest),
        digest,
        path: blob,
    })
}
