//! Routers from the Hub: downloaded whole or not at all, resumed, checked, and never without being asked for.

mod command_line;
mod download;

use crate::tiny_model::{Shape, Storage, TinyModel};

/// The files of a repository with a small router that works, and its licence.
pub fn repository() -> Vec<(String, Vec<u8>)> {
    let mut files = TinyModel::random(Shape::SMALL, 5).files(Storage::F32, 1);
    files.push(("LICENSE".to_owned(), b"Tiny licence\n\nUse it well.\n".to_vec()));
    files.push(("README.md".to_owned(), b"# Tiny".to_vec()));
    files
}

fn bytes_of<'a>(files: &'a [(String, Vec<u8>)], name: &str) -> &'a [u8] {
    &files.iter().find(|(known, _)| known == name).unwrap().1
}
