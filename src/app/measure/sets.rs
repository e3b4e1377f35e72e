//! Changing the file of a labelled set.

use std::fs::File;
use std::io::{Error, ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;

use crate::app::replace::replace_file;
use crate::formats::SetEdit;

/// Changes a set's file and returns the change that undoes it. The file is replaced as a whole, every other byte as it was; whoever has the
/// set open must open it again. A large set is copied, so not for the thread that draws.
///
/// # Errors
/// The file is shorter than it was when the change was made, or cannot be written; it then stays as it is.
pub fn apply_set_edit(path: &Path, edit: &SetEdit) -> std::io::Result<SetEdit> {
    let mut file = File::open(path)?;
    let mut old = vec![0; edit.len];
    file.seek(SeekFrom::Start(edit.offset))?;
    file.read_exact(&mut old)?;
    if file.metadata()?.len() < edit.offset {
        return Err(Error::new(ErrorKind::UnexpectedEof, "the file was changed since it was opened"));
    }
    replace_file(path, |to| {
        file.seek(SeekFrom::Start(0))?;
        std::io::copy(&mut (&file).take(edit.offset), to)?;
        to.write_all(&edit.bytes)?;
        file.seek(SeekFrom::Start(edit.offset + edit.len as u64))?;
        std::io::copy(&mut file, to)?;
        Ok(())
    })?;
    Ok(SetEdit { offset: edit.offset, len: edit.bytes.len(), bytes: old })
}
