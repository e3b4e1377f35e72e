//! Files that are replaced as a whole: whoever reads one, after a power cut too, finds the old text or the new one.

use std::io::{BufWriter, Write};
use std::path::Path;

/// Writes a file anew through a temporary one in the same folder; where that fails the old file stays.
///
/// # Errors
/// `write` fails, or the folder cannot be written to.
pub fn replace_file(path: &Path, write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    let mut buffered = BufWriter::new(&mut file);
    write(&mut buffered)?;
    buffered.flush()?;
    drop(buffered);
    // A temporary file is for its owner alone; what replaces a file has that file's permissions.
    if let Ok(present) = std::fs::metadata(path) {
        file.as_file().set_permissions(present.permissions())?;
    } else {
        #[cfg(unix)]
        file.as_file().set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
    }
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}
