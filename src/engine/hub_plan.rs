//! What a download from the Hub consists of: the files of a router, their declared digests, and the licence.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::EngineError;
use super::hub::{HubId, Pick, is_true, offline_switch, places};
use super::hub_digest::Digest;
use super::protocol::CancelToken;
use super::server::{Failure, Server};
use super::source::Limits;

/// A connection that brings nothing for this long is given up, and another one opened.
const STALL: Duration = Duration::from_secs(30);

/// No licence is longer; what is longer is something else.
const LONGEST_LICENCE: u64 = 1 << 20;

/// A file of a router on the Hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteFile {
    pub name: String,
    pub bytes: u64,
    /// What the Hub declares of its content; also the file's name in the cache.
    pub digest: Digest,
}

/// The terms of a repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Licence {
    /// As the model card names it, for example `apache-2.0`; empty where it names none.
    pub name: String,
    /// The licence's own text, empty where the repository has none.
    pub text: String,
    pub link: Option<String>,
}

/// What a download consists of, before any of it was fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub id: String,
    pub repo: String,
    pub commit: String,
    pub files: Vec<RemoteFile>,
    pub licence: Licence,
    pub(super) pick: Pick,
}

impl Plan {
    /// Returns the bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }
}

/// The Hub, or a server like it.
pub struct Hub {
    pub(super) server: Server,
    pub(super) client: reqwest::Client,
    pub(super) endpoint: String,
    pub(super) cache: PathBuf,
    pub(super) pause: Duration,
    has_token: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ModelInfo {
    sha: String,
    #[serde(default)]
    card_data: Value,
}

#[derive(Deserialize)]
struct TreeEntry {
    path: String,
    #[serde(default)]
    oid: String,
    #[serde(default)]
    size: u64,
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    oid: String,
    size: u64,
}

impl Hub {
    /// Prepares for the Hub of the environment; nothing is sent yet.
    ///
    /// # Errors
    /// Fails where `HF_HUB_OFFLINE` or `TRANSFORMERS_OFFLINE` forbids the network, or `HF_ENDPOINT` is no address.
    pub fn from_environment() -> Result<Self, EngineError> {
        if let Some(switch) = offline_switch() {
            return Err(EngineError::router(format!(
                "{switch} forbids downloads; unset it, or copy the router's files here by other means"
            )));
        }
        let (cache, endpoint) = places()?;
        Self::new(cache, endpoint, token(), Duration::from_millis(500))
    }

    /// Prepares for a Hub; `pause` stands between the tries of a transfer, longer from one to the next.
    ///
    /// # Errors
    /// Fails where the system gives no sockets or no certificates.
    pub fn new(cache: PathBuf, endpoint: String, token: Option<String>, pause: Duration) -> Result<Self, EngineError> {
        let failed = |error: reqwest::Error| EngineError::router(format!("{endpoint} cannot be asked: {error}"));
        let client = reqwest::Client::builder().connect_timeout(Duration::from_secs(10)).read_timeout(STALL);
        let client = client.user_agent(concat!("waypost/", env!("CARGO_PKG_VERSION"))).build().map_err(failed)?;
        let limits = Limits { timeout: STALL, attempts: 3, pause, ..Limits::default() };
        let has_token = token.is_some();
        let server = Server::with_key(&endpoint, token.map(Into::into), limits)?;
        Ok(Self { server, client, endpoint, cache, has_token, pause })
    }

    /// Asks what a router consists of and under which terms it is given.
    ///
    /// # Errors
    /// Fails with a sentence and a remedy: no such router, no access, no network.
    pub fn plan(&self, id: &str, cancel: &CancelToken) -> Result<Plan, EngineError> {
        let hub_id = HubId::new(id);
        let repo = &hub_id.repo;
        self.server.run(cancel, async {
            let ask =
                async |path: String| self.server.get(&path).await.map(|reply| reply.text).map_err(|failure| self.refusal(repo, &failure));
            let unreadable = |error: serde_json::Error| {
                EngineError::router(format!("{} did not answer as the Hub does ({error}); check HF_ENDPOINT", self.endpoint))
            };
            let info: ModelInfo = serde_json::from_str(&ask(format!("/api/models/{repo}/revision/main")).await?).map_err(unreadable)?;
            if info.sha.is_empty() || !info.sha.chars().all(|c| c.is_ascii_hexdigit()) {
                return Err(EngineError::router(format!("{} names no version of {repo}; check HF_ENDPOINT", self.endpoint)));
            }
            let tree = ask(format!("/api/models/{repo}/tree/{}?limit=1000", info.sha)).await?;
            let tree: Vec<TreeEntry> = serde_json::from_str(&tree).map_err(unreadable)?;
            let names: Vec<String> = tree.iter().map(|entry| entry.path.clone()).filter(|path| is_plain(path)).collect();
            let pick = Pick::of(&hub_id, &names).map_err(EngineError::Router)?;
            let licence_file = names.iter().find(|name| is_licence(name));
            let files = tree.iter().filter(|entry| pick.files().contains(&entry.path) || Some(&entry.path) == licence_file);
            let files: Vec<RemoteFile> = files.map(|entry| remote_file(entry, repo)).collect::<Result<_, _>>()?;
            let text = match licence_file.and_then(|name| files.iter().find(|file| file.name == *name)) {
                Some(file) if file.bytes <= LONGEST_LICENCE => ask(format!("/{repo}/resolve/{}/{}", info.sha, file.name)).await?,
                _ => String::new(),
            };
            let licence = licence(&info.card_data, text);
            Ok(Plan { id: id.to_owned(), repo: repo.clone(), commit: info.sha, files, licence, pick })
        })
    }

    /// Returns why the Hub did not give what was asked for, and what to do.
    pub(super) fn refusal(&self, repo: &str, failure: &Failure) -> EngineError {
        let hub = &self.endpoint;
        EngineError::Router(match failure {
            Failure::Unreachable(cause) => format!(
                "{hub} cannot be reached ({cause}); check the network and proxies (HTTPS_PROXY), then try again: what was fetched is kept"
            ),
            Failure::TimedOut => format!("{hub} stopped answering; try again: what was fetched is kept"),
            Failure::Status { code: code @ (401 | 403), message, .. } if *code == 403 || message.contains("restricted") => format!(
                "{repo} is given only to those who accepted its conditions ({code}: {message}); accept them at {hub}/{repo}, then set HF_TOKEN to your token"
            ),
            Failure::Status { code: 401, .. } if self.has_token => {
                format!("{hub} refuses the token for {repo} (401); check HF_TOKEN and the spelling of {repo}, which may not exist")
            }
            Failure::Status { code: 401, .. } => {
                format!("{repo} does not exist on {hub}, or is private (401); check the spelling, or set HF_TOKEN")
            }
            Failure::Status { code: 404, .. } => format!("{hub} has no {repo}, or no such file in it (404); check the spelling"),
            Failure::Status { code: 429, .. } => {
                format!("{hub} asks for fewer requests (429); try again in a few minutes, or set HF_TOKEN")
            }
            Failure::Status { code, message, .. } => format!("{hub} answered HTTP {code} for {repo} ({message}); try again later"),
            Failure::Malformed(reason) | Failure::Unfit(reason) => {
                format!("{hub} did not answer as the Hub does ({reason}); check HF_ENDPOINT and proxies")
            }
        })
    }
}

/// Only files at the root are fetched, and no name leads out of the cache.
fn is_plain(path: &str) -> bool {
    !path.is_empty() && !path.contains(['/', '\\']) && !path.starts_with('.')
}

fn is_licence(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["license", "licence", "copying"].iter().any(|start| name.starts_with(start))
}

fn remote_file(entry: &TreeEntry, repo: &str) -> Result<RemoteFile, EngineError> {
    let (digest, bytes) = match &entry.lfs {
        Some(lfs) => (Digest::sha256(&lfs.oid), lfs.size),
        None => (Digest::git(&entry.oid), entry.size),
    };
    let digest = digest.ok_or_else(|| EngineError::router(format!("{repo} declares no digest for {}; check HF_ENDPOINT", entry.path)))?;
    Ok(RemoteFile { name: entry.path.clone(), bytes, digest })
}

fn licence(card: &Value, text: String) -> Licence {
    let say = |key: &str| card[key].as_str().map(str::to_owned);
    let name = match say("license") {
        Some(name) if name == "other" => say("license_name").unwrap_or(name),
        name => name.unwrap_or_default(),
    };
    Licence { name, text, link: say("license_link").filter(|link| link.contains("://")) }
}

/// Returns the user's token from the places where Hugging Face tools keep it.
fn token() -> Option<String> {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
    if is_true("HF_HUB_DISABLE_IMPLICIT_TOKEN") {
        return None;
    }
    let file = |path: PathBuf| std::fs::read_to_string(path).ok();
    let home = || {
        let cache = set("XDG_CACHE_HOME").map(PathBuf::from).or_else(|| std::env::home_dir().map(|home| home.join(".cache")));
        set("HF_HOME").map(PathBuf::from).or_else(|| cache.map(|cache| cache.join("huggingface")))
    };
    let token = set("HF_TOKEN").or_else(|| set("HF_TOKEN_PATH").and_then(|path| file(path.into()))).or_else(|| file(home()?.join("token")));
    token.map(|token| token.trim().to_owned()).filter(|token| !token.is_empty())
}
