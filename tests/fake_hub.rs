//! A server that behaves like the Hugging Face Hub: metadata, redirects of large files to another server, byte ranges, and faults.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use crate::test_server::{Answer, Request, TestServer};

pub const REPO: &str = "owner/tiny";
pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// What happens to one download of a large file, instead of what should.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// The connection ends after this many bytes.
    Cut(usize),
    Status(u16),
    /// As long as it should be, but not the same.
    Wrong,
    /// Everything, whatever part was asked for.
    NoRanges,
    Slow(Duration),
}

/// The Hub and the server that large files come from.
pub struct FakeHub {
    pub hub: TestServer,
    pub cdn: TestServer,
}

pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn is_large(name: &str) -> bool {
    name.ends_with("safetensors") || name.ends_with("gguf") || name == "tokenizer.json"
}

impl FakeHub {
    pub fn new(files: Vec<(String, Vec<u8>)>, faults: impl IntoIterator<Item = Fault>) -> Self {
        Self::with_tree(files, faults, |tree| tree)
    }

    /// As [`Self::new`], with what the Hub says about the files changed.
    pub fn with_tree(files: Vec<(String, Vec<u8>)>, faults: impl IntoIterator<Item = Fault>, change: fn(Value) -> Value) -> Self {
        let files = Arc::new(files);
        let faults: Mutex<VecDeque<Fault>> = Mutex::new(faults.into_iter().collect());
        let large = Arc::clone(&files);
        let cdn = TestServer::start(move |request| {
            let wanted = request.path.trim_start_matches("/blob/");
            match large.iter().find(|(_, bytes)| sha256(bytes) == wanted) {
                Some((_, bytes)) => content(request, bytes, faults.lock().unwrap().pop_front()),
                None => Answer::new(404, "no such blob"),
            }
        });
        let address = cdn.url.clone();
        let hub = TestServer::start(move |request| answer(request, &files, &address, change));
        Self { hub, cdn }
    }

    /// The byte from which each request for a large file wanted it, in order.
    pub fn starts(&self) -> Vec<u64> {
        let start = |request: &Request| {
            let range = request.header("range").unwrap_or("bytes=0-");
            range.trim_start_matches("bytes=").trim_end_matches('-').parse().unwrap()
        };
        self.cdn.seen().iter().map(start).collect()
    }
}

fn answer(request: &Request, files: &[(String, Vec<u8>)], cdn: &str, change: fn(Value) -> Value) -> Answer {
    let path = request.path.split('?').next().unwrap();
    if path == format!("/api/models/{REPO}/revision/main") {
        let card = json!({"license": "other", "license_name": "tiny-licence", "license_link": "https://example.org/licence"});
        return Answer::new(200, json!({"id": REPO, "sha": COMMIT, "cardData": card}).to_string());
    }
    if path == format!("/api/models/{REPO}/tree/{COMMIT}") {
        let entries = files.iter().map(|(name, bytes)| {
            let git = hex(&Sha1::new_with_prefix(format!("blob {}\0", bytes.len())).chain_update(bytes).finalize());
            let mut entry = json!({"type": "file", "path": name, "size": bytes.len(), "oid": git});
            if is_large(name) {
                entry["lfs"] = json!({"oid": sha256(bytes), "size": bytes.len(), "pointerSize": 130});
            }
            entry
        });
        return Answer::new(200, change(entries.collect()).to_string());
    }
    let file = path.strip_prefix(&format!("/{REPO}/resolve/{COMMIT}/"));
    match file.and_then(|file| files.iter().find(|(name, _)| name == file)) {
        Some((name, bytes)) if is_large(name) => {
            Answer::new(302, "").header("Location", format!("{cdn}/blob/{}", sha256(bytes))).header("X-Linked-Size", bytes.len())
        }
        Some((_, bytes)) => Answer::new(200, bytes.clone()),
        None => Answer::new(404, json!({"error": "Repository not found"}).to_string()),
    }
}

fn content(request: &Request, bytes: &[u8], fault: Option<Fault>) -> Answer {
    let start: usize = request.header("range").map_or(0, |range| range.trim_start_matches("bytes=").trim_end_matches('-').parse().unwrap());
    let start = if matches!(fault, Some(Fault::NoRanges)) { 0 } else { start };
    let part = &bytes[start.min(bytes.len())..];
    let answer = if start > 0 {
        Answer::new(206, part).header("Content-Range", format!("bytes {start}-{}/{}", bytes.len() - 1, bytes.len()))
    } else {
        Answer::new(200, part)
    };
    match fault {
        Some(Fault::Cut(after)) => answer.cut_after(after),
        Some(Fault::Status(status)) => Answer::new(status, ""),
        Some(Fault::Wrong) => Answer { body: answer.body.iter().map(|byte| byte ^ 1).collect(), ..answer },
        Some(Fault::Slow(pause)) => answer.after(pause),
        Some(Fault::NoRanges) | None => answer,
    }
}
