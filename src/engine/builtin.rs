//! Where the built-in router's files are.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::EngineError;

/// Puts the router that a binary carries into a folder, or says in a sentence why it cannot.
pub type Unpack = Box<dyn Fn() -> Result<PathBuf, String> + Send + Sync>;

static UNPACK: OnceLock<Unpack> = OnceLock::new();

/// Says how to get at the router that the program carries in itself, so that a binary without its sources has one; the first call counts.
pub fn carry(unpack: Unpack) {
    UNPACK.get_or_init(|| unpack);
}

/// Returns the folder of the built-in router: of the sources that this was built from, which serves `cargo run`, where a package puts it,
/// beside the binary or under `share`, or else where the binary's own copy is unpacked.
///
/// # Errors
/// Fails when it is in none of these places, and when the copy cannot be unpacked.
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
    if let Some(unpack) = UNPACK.get() {
        return unpack().map_err(EngineError::router);
    }
    let places: Vec<String> = candidates.iter().map(|folder| folder.display().to_string()).collect();
    Err(EngineError::router(format!(
        "the built-in router is in none of its places ({}); choose another router (Choose router in the window, --router on the command line), or copy assets/router of the sources to one of them",
        places.join(", ")
    )))
}
