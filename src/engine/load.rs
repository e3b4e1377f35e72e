//! From a router's name to a loaded router: which files, which device, which precision.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::builtin::builtin_folder;
use super::calibration;
use super::chat_template::{self, ChatTemplate};
use super::config::{HEAD, ModelConfig};
use super::device::{self, Candidates, Opened};
use super::endpoint::EndpointRouter;
use super::error::caught;
use super::gateway_client::GatewayRouter;
use super::gguf::Gguf;
use super::local::LocalRouter;
use super::mapped::MappedFile;
use super::memory::in_memory;
use super::network::Network;
use super::protocol::{CancelToken, DeviceChoice, Progress, RouterDescription, RouterSource};
use super::router_stamp::RouterStamp;
use super::service::Served;
use super::tensor_names::gguf_names;
use super::tokenizer::{LLAMA_CPP_ENDS, RouterTokenizer};
use super::weights::Weights;
use super::worker::{Loader, OnProgress, Previous, Router};
use super::{EngineError, hub, machine, place, pressure};
use crate::decision::RouterInfo;

/// Returns the loader for [`super::Engine::spawn`] that loads real routers.
pub fn loader() -> Loader {
    Box::new(|source, device, progress, cancel, previous| open_in_place(source, device, progress, cancel, Some(previous)))
}

/// Opens a router of any kind: loads it where it runs here, and asks whether it is there where it is behind a server.
///
/// # Errors
/// Fails with a sentence and a remedy.
pub fn open_router(
    source: &RouterSource,
    device: DeviceChoice,
    progress: OnProgress<'_>,
    cancel: &CancelToken,
) -> Result<Box<dyn Router>, EngineError> {
    open_in_place(source, device, progress, cancel, None)
}

/// A server costs no memory, so it is asked while the previous router is still there.
fn open_in_place(
    source: &RouterSource,
    device: DeviceChoice,
    progress: OnProgress<'_>,
    cancel: &CancelToken,
    previous: Option<Previous<'_>>,
) -> Result<Box<dyn Router>, EngineError> {
    let id = source.to_string();
    Ok(match source {
        RouterSource::Endpoint { url, model, limits } => Box::new(Served(EndpointRouter::open(id, url, model, *limits, progress, cancel)?)),
        RouterSource::Gateway { url, model, limits } => {
            Box::new(Served(GatewayRouter::open(id, url, model.as_deref(), *limits, progress, cancel)?))
        }
        _ => Box::new(load_in_place(source, device, progress, cancel, previous)?),
    })
}

/// Loads a router that runs here.
///
/// # Errors
/// Fails with a sentence and a remedy when files are missing, damaged or of another kind, and when the device is not there.
pub fn load(
    source: &RouterSource,
    device: DeviceChoice,
    progress: OnProgress<'_>,
    cancel: &CancelToken,
) -> Result<LocalRouter, EngineError> {
    load_in_place(source, device, progress, cancel, None)
}

/// As [`load`], on the first of these devices that computes it: for tests of what the kernels of the CPU do not compute.
///
/// # Errors
/// Fails as [`load`] does.
pub fn load_on(
    candidates: Candidates,
    source: &RouterSource,
    progress: OnProgress<'_>,
    cancel: &CancelToken,
) -> Result<LocalRouter, EngineError> {
    load_on_first(candidates, source, progress, cancel, None)
}

/// As [`load`], in place of another router, which is freed once all that is cheap to check has been checked.
fn load_in_place(
    source: &RouterSource,
    device: DeviceChoice,
    progress: OnProgress<'_>,
    cancel: &CancelToken,
    previous: Option<Previous<'_>>,
) -> Result<LocalRouter, EngineError> {
    load_on_first(device::candidates(device)?, source, progress, cancel, previous)
}

fn load_on_first(
    Candidates { devices, mut refused }: Candidates,
    source: &RouterSource,
    progress: OnProgress<'_>,
    cancel: &CancelToken,
    mut previous: Option<Previous<'_>>,
) -> Result<LocalRouter, EngineError> {
    let located = locate(source)?;
    // Before anything is read: what is replaced meanwhile differs from it.
    let stamp = RouterStamp::of(source);
    let mut failed = EngineError::Internal("there is no device".to_owned());
    // Only `auto` has more than one to try.
    for (index, opened) in devices.iter().enumerate() {
        if index > 0 {
            progress(Progress { stage: "The device failed, loading on the next one", done: 0, total: None });
        }
        let parts = open(&located.path, opened)?;
        if opened.device.is_cpu() {
            let freed = previous.as_ref().map_or(0, Previous::bytes);
            pressure::check_room(&located.id, parts.weights.bytes(), machine::memory().available + freed).map_err(|error| {
                EngineError::router(refused.iter().rev().fold(error.to_string(), |error, reason| format!("{reason}; {error}")))
            })?;
        }
        if let Some(previous) = previous.take() {
            previous.free();
        }
        // Others may have taken the room that dense weights need.
        let is_short = place::free_on_card(&opened.device).is_some_and(|free| free < in_memory(parts.weights.bytes(), false));
        let as_stored = if is_short { smaller(&parts, &located, opened)? } else { None };
        let parts = as_stored.unwrap_or(parts);
        // Drivers and their bindings may panic as well.
        match caught(|| build(parts, &located, &stamp, opened, &refused, progress, cancel)) {
            Err(EngineError::Internal(text)) => {
                refused.push(device::refusal(opened.name, &text));
                failed = device::load_failure(opened.name, EngineError::Internal(text));
            }
            result => return result,
        }
    }
    Err(failed)
}

/// Returns the same router for a GPU with its quantised weights as they are in the file, where it takes less memory so.
fn smaller(parts: &Parts, located: &Located, opened: &Opened) -> Result<Option<Parts>, EngineError> {
    if opened.small == 0 {
        return Ok(None);
    }
    let as_stored = open(&located.path, &Opened { small: 0, ..opened.clone() })?;
    Ok((as_stored.weights.bytes() < parts.weights.bytes()).then_some(as_stored))
}

/// Reads the weights to their device; `refused` says why it is none of the faster ones.
fn build(
    parts: Parts,
    located: &Located,
    stamp: &RouterStamp,
    opened: &Opened,
    refused: &[String],
    progress: OnProgress<'_>,
    cancel: &CancelToken,
) -> Result<LocalRouter, EngineError> {
    let Parts { config, weights, tokenizer, template, end_tokens, temperature } = parts;
    let (layers, context) = (config.layers as u64, config.context);
    let stage = |stage, done: usize| Progress { stage, done: done as u64, total: Some(layers) };
    let network = Network::load(config, &weights, &opened.device, opened.dtype, |done| progress(stage("Reading weights", done)), cancel)?;
    network.warm_up(
        |done| {
            weights.release_pages();
            progress(stage("Preparing weights", done));
        },
        cancel,
    )?;
    let description = RouterDescription {
        info: RouterInfo {
            id: located.id.clone(),
            device: opened.name.to_owned(),
            dtype: network.precision(),
            temperature: (temperature != 1.0).then_some(temperature),
        },
        label: located.label.clone(),
        context,
        weight_bytes: network.weight_bytes(),
        refused: refused.to_vec(),
        stamp: Some(stamp.clone()),
    };
    Ok(LocalRouter::new(network, tokenizer, template, description, end_tokens))
}

/// Returns the files that a router is read from, sorted; none for a router that runs elsewhere and for one that is not there.
pub fn router_files(source: &RouterSource) -> Vec<PathBuf> {
    let Ok(Located { path, .. }) = locate(source) else { return Vec::new() };
    if !path.is_dir() {
        return vec![path];
    }
    let calibration = path.join("router.json");
    let mut files = match whole_gguf(&path) {
        Ok(Some(file)) => vec![file],
        // Everything that the weights, the tokenizer and the template may come from.
        _ => ["safetensors", "json", "jinja", "txt"].iter().flat_map(|kind| files_with(&path, kind).unwrap_or_default()).collect(),
    };
    if calibration.exists() && !files.contains(&calibration) {
        files.push(calibration);
    }
    files.sort();
    files
}

/// Returns a user message inside the router's chat template, without reading any weights.
///
/// # Errors
/// Fails as [`load`] does, and when the template refuses the message.
pub fn chat_prompt(source: &RouterSource, user_message: &str) -> Result<String, EngineError> {
    open(&locate(source)?.path, &device::CPU)?.template.wrap(user_message)
}

/// Where a router's files are and what it is called.
struct Located {
    path: PathBuf,
    id: String,
    label: String,
}

fn locate(source: &RouterSource) -> Result<Located, EngineError> {
    match source {
        RouterSource::Builtin => {
            Ok(Located { path: builtin_folder()?, id: "builtin".to_owned(), label: "Built-in router (small, not Arch-Router)".to_owned() })
        }
        RouterSource::Folder(path) | RouterSource::Gguf(path) => {
            let id = path.display().to_string();
            let label = path.file_name().map_or_else(|| id.clone(), |name| name.to_string_lossy().into_owned());
            Ok(Located { path: path.clone(), id, label })
        }
        // From the cache alone: nothing is fetched unless the user asked for it.
        RouterSource::Hub(id) => Ok(Located { path: hub::find(id)?.path, id: id.clone(), label: id.clone() }),
        RouterSource::Endpoint { url, .. } | RouterSource::Gateway { url, .. } => Err(EngineError::router(format!(
            "{url} is a server, and this needs the router's own files; name a folder or a .gguf file with --router"
        ))),
    }
}

/// What the files of a router hold, before the weights are read.
struct Parts {
    config: ModelConfig,
    weights: Weights,
    tokenizer: RouterTokenizer,
    template: ChatTemplate,
    end_tokens: Vec<u32>,
    /// Of the shown probabilities: [`calibration::temperature`].
    temperature: f64,
}

fn open(path: &Path, opened: &Opened) -> Result<Parts, EngineError> {
    if !path.is_dir() {
        return open_gguf(path, opened);
    }
    let parts = match whole_gguf(path)? {
        Some(file) => open_gguf(&file, opened)?,
        None => open_folder(path, opened)?,
    };
    let calibration = path.join("router.json");
    match read_optional(&calibration)? {
        Some(json) => Ok(Parts { temperature: calibration::temperature(&calibration.display().to_string(), &json)?, ..parts }),
        None => Ok(parts),
    }
}

/// Returns the GGUF file of a folder that holds its router in one: a small one, as the built-in router is kept.
pub(super) fn whole_gguf(folder: &Path) -> Result<Option<PathBuf>, EngineError> {
    let mut gguf = files_with(folder, "gguf")?;
    if folder.join("config.json").exists() && !files_with(folder, "safetensors")?.is_empty() {
        return Ok(None);
    }
    match (gguf.pop(), gguf.is_empty()) {
        (None, _) => Ok(None),
        (Some(file), true) => Ok(Some(file)),
        (Some(file), false) => {
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let folder = folder.display();
            Err(EngineError::router(format!("{folder} holds several .gguf files; name one of them, for example {folder}/{name}")))
        }
    }
}

/// Returns the files with this extension, sorted.
fn files_with(folder: &Path, wanted: &str) -> Result<Vec<PathBuf>, EngineError> {
    let entries = std::fs::read_dir(folder).map_err(|error| EngineError::router(format!("{}: {error}", folder.display())))?;
    let paths = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    let mut paths: Vec<PathBuf> = paths.filter(|path| path.extension().is_some_and(|extension| extension == wanted)).collect();
    paths.sort();
    Ok(paths)
}

fn open_folder(folder: &Path, opened: &Opened) -> Result<Parts, EngineError> {
    let shown = folder.display().to_string();
    let required = |name: &str| {
        read_optional(&folder.join(name))?.ok_or_else(|| {
            EngineError::router(format!(
                "{shown} has no {name}; a router's folder holds config.json, tokenizer.json, tokenizer_config.json and *.safetensors, or one .gguf file"
            ))
        })
    };
    let config_path = folder.join("config.json").display().to_string();
    let config =
        ModelConfig::from_json(&config_path, &required("config.json")?, read_optional(&folder.join("generation_config.json"))?.as_deref())?;
    let tokenizer_path = folder.join("tokenizer.json").display().to_string();
    let tokenizer = RouterTokenizer::from_json(&tokenizer_path, &required("tokenizer.json")?, config.vocab)?;

    let tokenizer_config = match read_optional(&folder.join("tokenizer_config.json"))? {
        Some(json) => serde_json::from_slice(&json)
            .map_err(|error| EngineError::router(format!("{shown}/tokenizer_config.json: {error}; download the file again")))?,
        None => serde_json::Value::Null,
    };
    let (inline, bos, eos) = chat_template::from_tokenizer_config(&tokenizer_config);
    let own_file = read_optional(&folder.join("chat_template.jinja"))?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let source = own_file.or(inline).ok_or_else(|| {
        EngineError::router(format!("{shown} has no chat template; add chat_template.jinja or the chat_template of tokenizer_config.json"))
    })?;
    // Servers end a turn at the tokenizer's own end token as well.
    let end_tokens = tokenizer.ends_of_turn(&config.end_tokens, &[eos.as_str()], "add eos_token_id to config.json")?;
    let template = ChatTemplate::new(&shown, source, bos, eos)?;

    let paths = files_with(folder, "safetensors")?;
    if paths.is_empty() {
        return Err(EngineError::router(format!("{shown} has no *.safetensors file; download the weights into it, or name a .gguf file")));
    }
    hub::check_parts(folder)?;
    let files = paths.iter().map(|path| MappedFile::open(path)).collect::<Result<Vec<_>, _>>()?;
    let weights = Weights::from_safetensors(&shown, &files, &opened.device, opened.dtype)?;
    config.check_head(&shown, weights.has(HEAD))?;
    Ok(Parts { config, weights, tokenizer, template, end_tokens, temperature: 1.0 })
}

fn open_gguf(path: &Path, opened: &Opened) -> Result<Parts, EngineError> {
    let file: Arc<MappedFile> = MappedFile::open(path)?;
    let shown = &file.path;
    let gguf = Gguf::parse(file.bytes()).map_err(|error| EngineError::router(format!("{shown}: {error}")))?;
    let config = ModelConfig::from_gguf(shown, &gguf)?;
    let tokenizer = RouterTokenizer::from_gguf(shown, &gguf, config.vocab)?;
    let source = gguf.string("tokenizer.chat_template").ok_or_else(|| {
        EngineError::router(format!("{shown}: the metadata has no tokenizer.chat_template; use another conversion of the router"))
    })?;
    let token = |key: &str| {
        let id = gguf.unsigned(key).and_then(|id| usize::try_from(id).ok());
        id.and_then(|id| gguf.strings("tokenizer.ggml.tokens").and_then(|tokens| tokens.get(id))).cloned().unwrap_or_default()
    };
    let template = ChatTemplate::new(shown, source.to_owned(), token("tokenizer.ggml.bos_token_id"), token("tokenizer.ggml.eos_token_id"))?;
    let weights = Weights::from_gguf(&file, &gguf, gguf_names(config.layers), opened);
    let remedy = "the metadata needs tokenizer.ggml.eos_token_id, use another conversion of the router";
    let end_tokens = tokenizer.ends_of_turn(&config.end_tokens, &LLAMA_CPP_ENDS, remedy)?;
    Ok(Parts { config, weights, tokenizer, template, end_tokens, temperature: 1.0 })
}

/// Reads a small file whole; `None` when it does not exist.
fn read_optional(path: &Path) -> Result<Option<Vec<u8>>, EngineError> {
    // Larger than any tokenizer, small enough that a mix-up with a file of weights ends here.
    const LIMIT: u64 = 256 << 20;
    match std::fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Ok(metadata) if metadata.len() > LIMIT => {
            Err(EngineError::router(format!("{} is over 256 MiB; this is not the file it should be", path.display())))
        }
        // Reading a pipe or a device might never end.
        Ok(metadata) if !metadata.is_file() => {
            Err(EngineError::router(format!("{} is not a file; download the router again", path.display())))
        }
        _ => std::fs::read(path).map(Some).map_err(|error| EngineError::router(format!("{}: {error}", path.display()))),
    }
}
