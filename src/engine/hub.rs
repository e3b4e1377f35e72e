//! Routers in the cache that all Hugging Face tools share: names, places, and which files of a repository make a router. Nothing here
//! asks the network.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use hf_hub::HFClient;

use super::EngineError;

/// A router on the Hub: a repository, and which of its files where it has several routers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubId {
    /// `owner/name`.
    pub repo: String,
    /// A `.gguf` file, or a part of its name such as `Q4_K_M`.
    pub wanted: Option<String>,
}

impl HubId {
    /// Reads `owner/name[:file]`.
    pub fn new(id: &str) -> Self {
        match id.split_once(':') {
            Some((repo, wanted)) => Self { repo: repo.to_owned(), wanted: Some(wanted.to_owned()) },
            None => Self { repo: id.to_owned(), wanted: None },
        }
    }

    /// Returns the repository's folder in the cache.
    pub fn folder(&self, cache: &Path) -> PathBuf {
        cache.join(format!("models--{}", self.repo.replace('/', "--")))
    }
}

/// What is taken of several quantisations when none is named: small, and hardly less exact.
const USUAL: &str = "Q4_K_M";

/// Which files of a repository make a router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pick {
    /// A single file.
    Gguf(String),
    /// The files of a folder.
    Folder(Vec<String>),
}

impl Pick {
    /// Chooses among the files at the root of a repository.
    ///
    /// # Errors
    /// Fails with a sentence when there is no router among them, or not the wanted one.
    pub fn of(id: &HubId, files: &[String]) -> Result<Self, String> {
        let repo = &id.repo;
        let gguf: Vec<&String> =
            files.iter().filter(|file| has_extension(file, "gguf") && !file.contains("-of-") && !file.contains("mmproj")).collect();
        let list = || gguf.iter().map(|file| file.as_str()).collect::<Vec<_>>().join(", ");
        let matching = |wanted: &str| -> Vec<&&String> {
            let wanted = wanted.to_ascii_lowercase();
            gguf.iter().filter(|file| file.to_ascii_lowercase().contains(&wanted)).collect()
        };
        if let Some(wanted) = &id.wanted {
            if let Some(exact) = gguf.iter().find(|file| *file == &wanted) {
                return Ok(Self::Gguf((*exact).clone()));
            }
            return match matching(wanted).as_slice() {
                [file] => Ok(Self::Gguf((**file).clone())),
                [] => Err(format!("{repo} has no .gguf file with {wanted:?} in its name; it has: {}", list())),
                _ => Err(format!("{repo} has several files with {wanted:?} in their names; name one of: {}", list())),
            };
        }
        let weights: Vec<&String> = files.iter().filter(|file| has_extension(file, "safetensors")).collect();
        if !weights.is_empty() && files.iter().any(|file| file == "config.json") {
            let small = [
                "config.json",
                "generation_config.json",
                "tokenizer.json",
                "tokenizer_config.json",
                "chat_template.jinja",
                "model.safetensors.index.json",
            ];
            let has_plain = weights.iter().any(|file| file.starts_with("model"));
            let is_wanted = |file: &&String| {
                small.contains(&file.as_str()) || (has_extension(file, "safetensors") && (!has_plain || file.starts_with("model")))
            };
            return Ok(Self::Folder(files.iter().filter(is_wanted).cloned().collect()));
        }
        match (gguf.as_slice(), matching(USUAL).as_slice()) {
            ([file], _) => Ok(Self::Gguf((*file).clone())),
            (_, [file]) => Ok(Self::Gguf((**file).clone())),
            ([], _) => Err(format!("{repo} has neither config.json with *.safetensors nor a .gguf file; choose another repository")),
            _ => Err(format!("{repo} has several .gguf files; put one after a colon, for example {repo}:{}; it has: {}", gguf[0], list())),
        }
    }

    /// Returns the names of the files.
    pub fn files(&self) -> &[String] {
        match self {
            Self::Gguf(file) => std::slice::from_ref(file),
            Self::Folder(files) => files,
        }
    }

    /// Returns what is loaded of a folder that holds the files.
    pub fn path_in(&self, folder: &Path) -> PathBuf {
        match self {
            Self::Gguf(file) => folder.join(file),
            Self::Folder(_) => folder.to_owned(),
        }
    }
}

fn has_extension(file: &str, extension: &str) -> bool {
    Path::new(file).extension().is_some_and(|found| found.eq_ignore_ascii_case(extension))
}

/// Returns the variable by which the user forbids the network to all Hugging Face tools, where one is set so.
pub fn offline_switch() -> Option<&'static str> {
    ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"].into_iter().find(|name| is_true(name))
}

/// Returns whether a switch of the environment is on, as Hugging Face's own tools read it: one that is set to 0 is off.
pub(super) fn is_true(name: &str) -> bool {
    std::env::var(name).is_ok_and(|value| matches!(value.trim().to_ascii_uppercase().as_str(), "1" | "ON" | "YES" | "TRUE"))
}

/// Returns the cache, and the address of the Hub: `HF_HUB_CACHE`, `HF_HOME` and `HF_ENDPOINT` are hf-hub's to read.
///
/// # Errors
/// Fails when one of them is no address.
pub fn places() -> Result<(PathBuf, String), EngineError> {
    let mut builder = HFClient::builder();
    // Without HOME, usual on Windows, hf-hub would take /tmp, which no other tool looks into.
    let is_set =
        ["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME", "HOME"].iter().any(|name| std::env::var_os(name).is_some());
    if !is_set && let Some(home) = std::env::home_dir() {
        builder = builder.cache_dir(home.join(".cache").join("huggingface").join("hub"));
    }
    let client =
        builder.build().map_err(|error| EngineError::router(format!("the Hub's address cannot be used ({error}); check HF_ENDPOINT")))?;
    Ok((client.cache_dir().to_owned(), client.endpoint().to_owned()))
}

/// A router that is in the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cached {
    /// The folder or `.gguf` file to load.
    pub path: PathBuf,
    /// Where its files lie.
    pub snapshot: PathBuf,
    pub files: Vec<String>,
}

/// Finds a router in the cache.
///
/// # Errors
/// Fails with the command that downloads it where it is not there, or not all of it; a name that may be a mistyped path is told as one too.
pub fn find(id: &str) -> Result<Cached, EngineError> {
    let (cache, hub_id) = (places()?.0, HubId::new(id));
    find_in(&cache, &hub_id).map_err(|why| {
        if id.contains(':') || hub_id.folder(&cache).exists() {
            return EngineError::Router(why);
        }
        let no_path = format!("there is no file or folder {id}; check the path");
        EngineError::Router(if id.split_once('/').is_some_and(|(first, _)| Path::new(first).is_dir()) {
            format!("{no_path}. If a router of the Hugging Face Hub is meant: {why}")
        } else if has_extension(id, "gguf") {
            // Repositories are called so as well.
            format!("{why}. If a file is meant: {no_path}")
        } else {
            why
        })
    })
}

/// Finds a router in a cache: in the newest version that was downloaded, or else in any.
///
/// # Errors
/// As [`find`].
pub fn find_in(cache: &Path, id: &HubId) -> Result<Cached, String> {
    let name = id.wanted.as_ref().map_or_else(|| id.repo.clone(), |wanted| format!("{}:{wanted}", id.repo));
    let mut why = format!("{name} is not downloaded; get it with `waypost models pull {name}`");
    for snapshot in snapshots(&id.folder(cache)) {
        let present = files_in(&snapshot);
        match Pick::of(id, &present) {
            Ok(pick) => {
                if let Some(missing) = missing(&snapshot, &pick, &present) {
                    why = format!("{name} is not complete, {missing} is missing; get the rest with `waypost models pull {name}`");
                } else {
                    return Ok(Cached { path: pick.path_in(&snapshot), snapshot, files: pick.files().to_vec() });
                }
            }
            Err(reason) if !present.is_empty() => why = format!("{why} ({reason})"),
            Err(_) => {}
        }
    }
    Err(why)
}

/// Returns a file that the router cannot do without and that is not there: the tokenizer, or a part of the weights.
fn missing(snapshot: &Path, pick: &Pick, present: &[String]) -> Option<String> {
    let Pick::Folder(_) = pick else { return None };
    let mut needed = std::iter::once("tokenizer.json".to_owned()).chain(parts(snapshot));
    needed.find(|name| !present.contains(name))
}

/// Returns the files that the weights of a folder are spread over, as its index says; none where it has no index.
fn parts(folder: &Path) -> BTreeSet<String> {
    let index = std::fs::read(folder.join("model.safetensors.index.json")).unwrap_or_default();
    let index: serde_json::Value = serde_json::from_slice(&index).unwrap_or_default();
    let names = index["weight_map"].as_object().into_iter().flat_map(|map| map.values()).filter_map(serde_json::Value::as_str);
    names.map(str::to_owned).collect()
}

/// Refuses a folder that lacks a file of its weights: without the one that holds the output head the rest would load, and answer nonsense.
pub(super) fn check_parts(folder: &Path) -> Result<(), EngineError> {
    // One file with all of them goes before an index, which may be left over; so transformers has it.
    if folder.join("model.safetensors").is_file() {
        return Ok(());
    }
    match parts(folder).into_iter().find(|part| !folder.join(part).is_file()) {
        None => Ok(()),
        Some(part) => Err(EngineError::router(format!(
            "{}: the file {part} is missing, which model.safetensors.index.json names; download it into the folder",
            folder.display()
        ))),
    }
}

/// Returns the versions of a repository, the one that `main` points to first, then the others from new to old.
fn snapshots(folder: &Path) -> Vec<PathBuf> {
    let main = std::fs::read_to_string(folder.join("refs").join("main")).unwrap_or_default();
    let entries = std::fs::read_dir(folder.join("snapshots")).into_iter().flatten().flatten();
    let mut found: Vec<(bool, SystemTime, PathBuf)> = entries
        .map(|entry| {
            let modified = entry.metadata().and_then(|metadata| metadata.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
            (entry.file_name().to_string_lossy() == main.trim(), modified, entry.path())
        })
        .collect();
    found.sort_by(|a, b| b.cmp(a));
    found.into_iter().map(|(_, _, path)| path).collect()
}

/// Returns the files of a folder; a link to what is not there any more is none.
fn files_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<String> =
        entries.filter(|entry| entry.path().is_file()).map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    files.sort();
    files
}

/// Returns the ids of all routers in the cache: one for each repository with a folder, one for each `.gguf` file.
pub fn cached_ids(cache: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(cache).into_iter().flatten().flatten();
    let mut ids = Vec::new();
    for entry in entries {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some((owner, repo)) = name.strip_prefix("models--").and_then(|name| name.split_once("--")) else { continue };
        let id = HubId { repo: format!("{owner}/{repo}"), wanted: None };
        let Some(snapshot) = snapshots(&entry.path()).into_iter().next() else { continue };
        let files = files_in(&snapshot);
        if let Ok(Pick::Folder(_)) = Pick::of(&id, &files) {
            ids.push(id.repo.clone());
        }
        ids.extend(files.iter().filter(|file| has_extension(file, "gguf")).map(|file| format!("{}:{file}", id.repo)));
    }
    ids.sort();
    ids
}
