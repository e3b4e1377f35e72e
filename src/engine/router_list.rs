//! Every router that can be chosen here: what ships, what the Hugging Face cache holds, what is usually wanted, and what the user named.

use std::path::{Path, PathBuf};

use super::builtin::builtin_folder;
use super::hub::{HubId, cached_ids, find_in, places};
use super::memory::{Examined, examine};
use super::place::Place;
use super::protocol::RouterSource;

/// Whether a router can be used now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Presence {
    /// Its files are here.
    Here,
    /// On the Hub only.
    ToDownload,
    /// Behind a server.
    Remote,
    /// Not, and why.
    Unusable(String),
}

/// A router that can be chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedRouter {
    pub source: RouterSource,
    /// For people.
    pub label: String,
    /// What it is good for, where that is known.
    pub note: &'static str,
    pub presence: Presence,
    pub path: Option<PathBuf>,
    pub disk_bytes: Option<u64>,
    pub memory_bytes: Option<u64>,
    /// Precision of the weights as stored.
    pub stored: String,
    pub licence: Option<String>,
    /// SHA-256 of the weights as the Hub declared it; `None` where nobody did.
    pub digest: Option<String>,
}

/// A router that most users want sooner or later: id, label, what it is good for, about how large it is, memory on a CPU and on a GPU.
type Known = (&'static str, &'static str, &'static str, u64, [u64; 2]);

const LICENCE: &str = "Katanemo licence, shown before the download";

// Sizes as the Hub lists them (katanemo/Arch-Router-1.5B.gguf, files of e3c328b).
const KNOWN: [Known; 3] = [
    (
        "katanemo/Arch-Router-1.5B.gguf:Q4_K_M",
        "Arch-Router-1.5B, Q4_K_M",
        "The router that gateways ask, small enough for any machine",
        990_000_000,
        [1_800_000_000, 3_100_000_000],
    ),
    (
        "katanemo/Arch-Router-1.5B.gguf:Q5_K_M",
        "Arch-Router-1.5B, Q5_K_M",
        "Nearer to the router as it was trained, for a little more memory",
        1_130_000_000,
        [2_000_000_000, 3_300_000_000],
    ),
    (
        "katanemo/Arch-Router-1.5B",
        "Arch-Router-1.5B, bf16",
        "The router as it was trained; for GPUs and large machines",
        3_100_000_000,
        [6_900_000_000, ARCH_ROUTER_IN_HALF],
    ),
];

/// What all of its files take on a GPU with room for it, whose weights are computed with in half precision.
const ARCH_ROUTER_IN_HALF: u64 = 5_100_000_000;

/// Its 1.54 billion numbers; see [`Place::small`].
const ARCH_ROUTER_AS_F32: u64 = 6_175_000_000;

/// Lists them with what they would take at this place, looking at files but never asking the network. `named` are routers that the user
/// added: folders, files, servers, and those of the Hub in the user's own spelling. `cache` is the folder for downloads from the Hub, `None` the
/// one that all its tools share.
pub fn list_routers(named: &[RouterSource], place: &Place, cache: Option<&Path>) -> Vec<ListedRouter> {
    let mut routers = vec![match builtin_folder() {
        Ok(folder) => {
            let note = "Ready at once, not Arch-Router; for first steps and for checks in CI";
            ListedRouter { note, ..local(RouterSource::Builtin, "Built-in router".to_owned(), folder, place) }
        }
        Err(error) => unusable(RouterSource::Builtin, "Built-in router".to_owned(), error.to_string()),
    }];
    let cache = cache.map(Path::to_owned).or_else(|| places().map(|(cache, _)| cache).ok());
    let in_cache = |id: &str| cache.as_ref().and_then(|cache| find_in(cache, &HubId::new(id)).ok());
    for (id, label, note, disk, [memory_on_cpu, memory_on_gpu]) in KNOWN {
        let is_dense = place.small >= ARCH_ROUTER_AS_F32 && place.fits(ARCH_ROUTER_IN_HALF) != Some(false);
        let on_gpu = if is_dense { ARCH_ROUTER_IN_HALF } else { memory_on_gpu };
        let memory = if place.is_cpu() { memory_on_cpu } else { on_gpu };
        let source = RouterSource::Hub(id.to_owned());
        routers.push(match in_cache(id) {
            Some(cached) => ListedRouter { note, ..local(source, label.to_owned(), cached.path, place) },
            None => ListedRouter {
                note,
                presence: Presence::ToDownload,
                disk_bytes: Some(disk),
                memory_bytes: Some(memory),
                licence: Some(LICENCE.to_owned()),
                ..unusable(source, label.to_owned(), String::new())
            },
        });
    }
    let mut added: Vec<ListedRouter> = Vec::new();
    for source in named {
        if routers.iter().chain(&added).any(|known| known.source.is_same(source)) {
            continue;
        }
        added.push(match source {
            RouterSource::Endpoint { url, model, .. } => ListedRouter {
                presence: Presence::Remote,
                note: "An OpenAI-compatible server",
                ..unusable(source.clone(), format!("{model} at {url}"), String::new())
            },
            RouterSource::Gateway { url, .. } => ListedRouter {
                presence: Presence::Remote,
                note: "A running Plano: the deployed path itself",
                ..unusable(source.clone(), format!("Gateway at {url}"), String::new())
            },
            RouterSource::Folder(path) | RouterSource::Gguf(path) => {
                let name = path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned());
                local(source.clone(), name, path.clone(), place)
            }
            RouterSource::Hub(id) => match in_cache(id) {
                Some(cached) => local(source.clone(), id.clone(), cached.path, place),
                None => ListedRouter { presence: Presence::ToDownload, ..unusable(source.clone(), id.clone(), String::new()) },
            },
            RouterSource::Builtin => continue,
        });
    }
    for id in cache.as_deref().map(cached_ids).unwrap_or_default() {
        // One file is one router, whichever of its spellings the user knows it by.
        if let Some(cached) = in_cache(&id)
            && routers.iter().chain(&added).all(|known| known.path.as_ref() != Some(&cached.path))
        {
            let router = local(RouterSource::Hub(id.clone()), id, cached.path, place);
            // The cache holds models of every kind; only what could be chosen is worth a line.
            if router.presence == Presence::Here {
                routers.push(router);
            }
        }
    }
    // What the user chose comes before what is merely there.
    routers.splice(1..1, added);
    routers
}

fn local(source: RouterSource, label: String, path: PathBuf, place: &Place) -> ListedRouter {
    let examined = match examine(&path, place) {
        // What has no room in half precision is loaded as it is.
        Ok(dense) if place.fits(dense.memory_bytes) == Some(false) => examine(&path, &place.without_dense()),
        examined => examined,
    };
    match examined {
        Ok(Examined { disk_bytes, memory_bytes, stored, licence }) => ListedRouter {
            disk_bytes: Some(disk_bytes),
            memory_bytes: Some(memory_bytes),
            stored,
            licence: licence.or_else(|| matches!(source, RouterSource::Builtin).then(|| "Apache-2.0".to_owned())),
            digest: declared_digest(&path),
            presence: Presence::Here,
            path: Some(path),
            ..unusable(source, label, String::new())
        },
        Err(error) => ListedRouter { path: Some(path), ..unusable(source, label, error.to_string()) },
    }
}

fn unusable(source: RouterSource, label: String, reason: String) -> ListedRouter {
    ListedRouter {
        source,
        label,
        note: "",
        presence: Presence::Unusable(reason),
        path: None,
        disk_bytes: None,
        memory_bytes: None,
        stored: String::new(),
        licence: None,
        digest: None,
    }
}

/// Files of the cache are links to blobs that are named by their digests.
fn declared_digest(path: &Path) -> Option<String> {
    let weights = if path.is_dir() { path.join("model.safetensors") } else { path.to_owned() };
    let blob = std::fs::canonicalize(weights).ok()?;
    let name = blob.file_name()?.to_string_lossy().into_owned();
    (name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(name)
}
