//! Files that are replaced as a whole: whoever reads one, after a power cut too, finds the old text or the new one.

use std::fs::{Metadata, OpenOptions};
use std::io::{BufWriter, Error, ErrorKind, Write};
use std::path::Path;

/// Writes a file anew through a temporary one in the same folder; where that fails the old file stays. Of a link it is the file that it leads
/// to. What is no regular file, such as a device or a pipe, is written into: a file in its place would take it away from everybody.
///
/// # Errors
/// `write` fails, the folder cannot be written to, or the file is read-only.
pub fn replace_file(path: &Path, write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> std::io::Result<()> {
    replace_known(path, write).map(drop)
}

/// As [`replace_file`], and returns what the new file is; `None` of what is no regular file. Looked up later by its name, it could be another
/// program's.
///
/// # Errors
/// As [`replace_file`].
pub(super) fn replace_known(path: &Path, write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> std::io::Result<Option<Metadata>> {
    let target = path.canonicalize();
    // A pipe behind a link of /proc is there but has no path of its own.
    if std::fs::metadata(path).is_ok_and(|present| !present.is_file() || target.is_err()) {
        let mut file = BufWriter::new(OpenOptions::new().write(true).truncate(true).open(path)?);
        write(&mut file)?;
        return file.flush().map(|()| None);
    }
    let path = target.as_deref().unwrap_or(path);
    refuse_read_only(path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(without_path)?;
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
    let written = file.as_file().metadata().ok();
    file.persist(path).map_err(|error| error.error)?;
    Ok(written)
}

/// Refuses a file that nobody is to change: in a folder that may be written to another file would take its place all the same.
///
/// # Errors
/// The file is there and read-only.
pub(super) fn refuse_read_only(path: &Path) -> std::io::Result<()> {
    if !std::fs::metadata(path).is_ok_and(|present| present.is_file() && present.permissions().readonly()) {
        return Ok(());
    }
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    Err(Error::new(ErrorKind::PermissionDenied, format!("{name} is read-only and must be made writable first")))
}

/// The temporary file's name, which the error tells besides, means nothing to anybody.
fn without_path(error: Error) -> Error {
    let said = match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => "its folder does not exist",
        ErrorKind::PermissionDenied => "its folder may not be written to",
        ErrorKind::ReadOnlyFilesystem => "its disk may only be read",
        ErrorKind::StorageFull => "its disk is full",
        _ => return error,
    };
    Error::new(error.kind(), said)
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

    #[test]
    fn a_read_only_file_is_not_replaced() {
        let folder = tempfile::tempdir().expect("there is a folder for temporary files");
        let file = folder.path().join("kept.yaml");
        std::fs::write(&file, "old").expect("it can be written");
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o444)).expect("it is ours");
        let error = replace_file(&file, |to| to.write_all(b"new")).expect_err("it is read-only");
        assert_eq!(std::fs::read_to_string(&file).expect("it is there"), "old");
        assert!(error.to_string().starts_with("kept.yaml is read-only"), "{error}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_pipe_is_written_into() {
        use std::io::Read as _;
        use std::os::fd::AsRawFd as _;

        let folder = tempfile::tempdir().expect("there is a folder for temporary files");
        let link = folder.path().join("pipe");
        let (mut reader, writer) = std::io::pipe().expect("pipes can be made");
        symlink(format!("/proc/self/fd/{}", writer.as_raw_fd()), &link).expect("links can be made");
        replace_file(&link, |to| to.write_all(b"new")).expect("it can be written");
        drop(writer);
        let mut read = String::new();
        // Without the pipe there is a file, and the text never comes through.
        assert!(link.is_symlink());
        reader.read_to_string(&mut read).expect("it can be read");
        assert_eq!(read, "new");
    }

    #[test]
    fn what_cannot_be_written_is_told_without_the_temporary_file() {
        let folder = tempfile::tempdir().expect("there is a folder for temporary files");
        let error = replace_file(&folder.path().join("missing/x.yaml"), |_| Ok(())).expect_err("there is no such folder");
        assert_eq!((error.kind(), error.to_string().contains(".tmp")), (ErrorKind::NotFound, false));
    }
}
