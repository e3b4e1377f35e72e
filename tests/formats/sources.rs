//! Files and standard input.

use std::io::Read;
use std::path::Path;

use waypost::formats::{MAX_BYTES, MAX_EXPORT_BYTES, STDIN, open, read_export, read_text, read_text_from};

use super::refuses;

#[test]
fn text_is_read_without_its_byte_order_mark() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.txt");
    std::fs::write(&path, "\u{feff}grüße\r\n\u{feff}").unwrap();
    assert_eq!(read_text(&path).unwrap(), "grüße\r\n\u{feff}");
    assert_eq!(read_text_from("\u{feff}x".as_bytes(), STDIN).unwrap(), "x");
    let mut text = String::new();
    open(&path).unwrap().read_to_string(&mut text).unwrap();
    assert!(text.ends_with("\u{feff}"));
}

#[test]
fn files_that_cannot_be_text_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.txt");
    let shown = path.display().to_string();
    let check = |expected: &str| refuses(&shown, read_text(&path), &format!("{shown}: {expected}"));

    check("there is no such file; check the path");
    refuses("open", open(&path), &format!("{shown}: there is no such file; check the path"));
    std::fs::write(&path, b"line one\n\xc3\xa9\xe9\n").unwrap();
    refuses(&shown, read_text(&path), &format!("{shown}:2:2: byte 11 of the text (0xE9) is not UTF-8; save the file as UTF-8"));
    std::fs::File::create(&path).unwrap().set_len(MAX_BYTES * 1000).unwrap();
    check("the file is larger than 64 MiB; choose another file or split it");

    std::fs::File::create(&path).unwrap().set_len(MAX_BYTES + 1).unwrap();
    assert_eq!(read_export(&path).unwrap().len() as u64, MAX_BYTES + 1);
    std::fs::File::create(&path).unwrap().set_len(MAX_EXPORT_BYTES + 1).unwrap();
    refuses(&shown, read_export(&path), &format!("{shown}: the file is larger than 1024 MiB; choose another file or split it"));

    let shown = folder.path().display().to_string();
    refuses(&shown, read_text(folder.path()), &format!("{shown}: this is a folder; name a file in it"));
    refuses(&shown, open(folder.path()), &format!("{shown}: this is a folder; name a file in it"));
}

#[test]
fn endless_input_is_refused() {
    let expected = "<stdin>: the file is larger than 64 MiB; choose another file or split it";
    refuses("endless", read_text_from(std::io::repeat(b'x'), STDIN), expected);
    let full = read_text_from(std::io::repeat(b'x').take(MAX_BYTES), STDIN).unwrap();
    assert_eq!(full.len() as u64, MAX_BYTES);
    // A device tells no size, so only the bytes themselves can be counted.
    let zero = Path::new("/dev/zero");
    if zero.exists() {
        refuses("/dev/zero", read_text(zero), "/dev/zero: the file is larger than 64 MiB; choose another file or split it");
    }
}
