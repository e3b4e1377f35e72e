//! Files that are replaced as a whole: whoever reads one, after a power cut too, finds the old text or the new one.

use std::io::{BufWriter, Write};
use std::path::Path;

/// Writes a file anew through a temporary one in the same folder; where that fails the old file stays. Of a link it is the file that it leads
/// to.
///
/// # Errors
/// `write` fails, or the folder cannot be written to.
pub fn replace_file(path: &Path, write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> std::io::Result<()> {
    let target = path.canonicalize();
    let path = target.as_deref().unwrap_or(path);
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

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_link_stays_one_and_the_file_keeps_its_permissions() {
        let folder = tempfile::tempdir().expect("there is a folder for temporary files");
        let (file, link) = (folder.path().join("real.yaml"), folder.path().join("link.yaml"));
        std::fs::write(&file, "old").expect("it can be written");
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o640)).expect("it is ours");
        symlink("real.yaml", &link).expect("links can be made");
        replace_file(&link, |to| to.write_all(b"new")).expect("it can be written");
        assert!(link.is_symlink());
        assert_eq!(std::fs::read_to_string(&file).expect("it is there"), "new");
        assert_eq!(file.metadata().expect("it is there").permissions().mode() & 0o777, 0o640);
    }
}
