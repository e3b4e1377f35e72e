//! The built-in router inside the binary: an installed program outlives its sources.

use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::store::write_atomically;
use crate::formats::hex;

/// A file that the program carries in itself.
#[derive(Clone, Copy, Debug)]
pub struct CarriedFile {
    pub name: &'static str,
    pub bytes: &'static [u8],
}

/// Puts carried files into the user's cache folder, unless they are there, and returns the folder they are in.
///
/// # Errors
/// Says in a sentence why they cannot be written, and what to do about it.
pub fn unpack_router(files: &[CarriedFile]) -> Result<PathBuf, String> {
    unpack_below(files, &dirs::cache_dir().unwrap_or_else(std::env::temp_dir).join("waypost").join("router"))
}

/// Each content has a folder of its own, so that versions of the program do not disturb each other.
fn unpack_below(files: &[CarriedFile], folder: &Path) -> Result<PathBuf, String> {
    // The lengths and the ends tell versions apart; hashing all of it would delay every start.
    const HEAD: usize = 1 << 16;
    const TAIL: usize = 1 << 20;
    let mut digest = Sha256::new();
    for CarriedFile { name, bytes } in files {
        digest.update(name);
        digest.update(bytes.len().to_le_bytes());
        digest.update(&bytes[..bytes.len().min(HEAD)]);
        digest.update(&bytes[bytes.len().saturating_sub(TAIL)..]);
    }
    let folder = folder.join(hex(&digest.finalize()[..8]));
    let failed = |error: std::io::Error| {
        let place = folder.display();
        format!(
            "the built-in router cannot be unpacked to {place} ({error}); free some space there, or set XDG_CACHE_HOME to another folder"
        )
    };
    std::fs::create_dir_all(&folder).map_err(failed)?;
    for file in files {
        let path = folder.join(file.name);
        // Written as a whole or not at all, so the length tells.
        if std::fs::metadata(&path).is_ok_and(|present| present.len() == file.bytes.len() as u64) {
            continue;
        }
        write_atomically(&path, file.bytes).map_err(failed)?;
    }
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn carried_files_are_unpacked_once_and_mended() {
        let folder = tempfile::tempdir().expect("there is a folder for temporary files");
        let read = |path: PathBuf| std::fs::read(path).expect("it is there");
        let files = [CarriedFile { name: "router.gguf", bytes: b"weights" }, CarriedFile { name: "router.json", bytes: b"{}" }];
        let unpacked = unpack_below(&files, folder.path()).expect("it can be written");
        assert_eq!(read(unpacked.join("router.gguf")), b"weights");
        std::fs::write(unpacked.join("router.json"), "cut").expect("it can be written");
        assert_eq!(unpack_below(&files, folder.path()), Ok(unpacked.clone()));
        assert_eq!(read(unpacked.join("router.json")), b"{}");

        let newer = [CarriedFile { name: "router.gguf", bytes: b"WEIGHTS" }, files[1]];
        assert_ne!(unpack_below(&newer, folder.path()), Ok(unpacked));
    }
}
