//! Where the built-in router's files are: among the sources, beside the binary, or inside it.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use sha2::{Digest as _, Sha256};

use super::EngineError;

/// A file of the built-in router that the program carries in itself.
#[derive(Clone, Copy)]
pub struct CarriedFile {
    pub name: &'static str,
    pub bytes: &'static [u8],
}

static CARRIED: OnceLock<&'static [CarriedFile]> = OnceLock::new();

/// Says which files the program carries, so that a binary without its sources has the built-in router too; the first call counts.
pub fn carry(files: &'static [CarriedFile]) {
    CARRIED.get_or_init(|| files);
}

/// Returns the folder of the built-in router: of the sources that this was built from, which serves `cargo run`, where a package puts it,
/// beside the binary or under `share`, or else where the files that the binary carries are unpacked, in the user's folder for caches.
///
/// # Errors
/// Fails when it is in none of these places, and when the carried files cannot be unpacked.
pub fn builtin_folder() -> Result<PathBuf, EngineError> {
    let binary = std::env::current_exe().and_then(std::fs::canonicalize).ok();
    let installed = binary.as_deref().and_then(Path::parent).into_iter();
    let candidates: Vec<PathBuf> = [PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/assets/router"))]
        .into_iter()
        .chain(installed.flat_map(|folder| ["waypost-assets/router", "../share/waypost/router"].map(|place| folder.join(place))))
        .collect();
    if let Some(folder) = candidates.iter().find(|folder| folder.join("router.gguf").exists()) {
        return Ok(folder.clone());
    }
    if let Some(files) = CARRIED.get() {
        let caches = dirs::cache_dir().unwrap_or_else(std::env::temp_dir);
        return unpack(files, &caches.join("waypost").join("router"));
    }
    let places: Vec<String> = candidates.iter().map(|folder| folder.display().to_string()).collect();
    Err(EngineError::router(format!(
        "the built-in router is in none of its places ({}); choose another router (Choose router in the window, --router on the command line), or copy assets/router of the sources to one of them",
        places.join(", ")
    )))
}

/// Writes the files below `folder`, into a folder of their own for each content, so that versions of the program do not disturb each other.
fn unpack(files: &[CarriedFile], folder: &Path) -> Result<PathBuf, EngineError> {
    let mut digest = Sha256::new();
    for file in files {
        // The lengths and the ends tell versions apart; hashing all of it would delay every start.
        digest.update(file.name);
        digest.update(file.bytes.len().to_le_bytes());
        let size = file.bytes.len();
        digest.update(&file.bytes[..size.min(1 << 16)]);
        digest.update(&file.bytes[size.saturating_sub(1 << 20)..]);
    }
    let id: String = digest.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let folder = folder.join(id);
    let failed = |error: std::io::Error| {
        EngineError::router(format!(
            "the built-in router cannot be unpacked to {} ({error}); make room there, or choose another folder for caches with XDG_CACHE_HOME",
            folder.display()
        ))
    };
    for file in files {
        let path = folder.join(file.name);
        if std::fs::metadata(&path).is_ok_and(|there| there.len() == file.bytes.len() as u64) {
            continue;
        }
        std::fs::create_dir_all(&folder).map_err(failed)?;
        // Another start may be unpacking beside this one: whole files only take their names.
        let mut whole = tempfile::NamedTempFile::new_in(&folder).map_err(failed)?;
        whole.write_all(file.bytes).map_err(failed)?;
        whole.persist(&path).map_err(|error| failed(error.error))?;
    }
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn carried_files_are_unpacked_once_and_mended() {
        let folder = tempfile::tempdir().unwrap();
        let files = [CarriedFile { name: "router.gguf", bytes: b"weights" }, CarriedFile { name: "router.json", bytes: b"{}" }];
        let unpacked = unpack(&files, folder.path()).unwrap();
        assert_eq!(std::fs::read(unpacked.join("router.gguf")).unwrap(), b"weights");
        std::fs::write(unpacked.join("router.json"), "cut").unwrap();
        assert_eq!(unpack(&files, folder.path()).unwrap(), unpacked);
        assert_eq!(std::fs::read(unpacked.join("router.json")).unwrap(), b"{}");

        let newer = [CarriedFile { name: "router.gguf", bytes: b"WEIGHTS" }, files[1]];
        assert_ne!(unpack(&newer, folder.path()).unwrap(), unpacked);
    }
}
