//! From `--router` to a loaded router.

use std::path::PathBuf;

use indicatif::{ProgressBar, ProgressStyle};

use super::Failure;
use super::args::RouterArguments;
use crate::engine::{CancelToken, LocalRouter, Progress, RouterSource, load};

/// Reads the value of `--router`.
///
/// # Errors
/// Fails on a value that is none of the known kinds.
pub fn source(value: &str) -> Result<RouterSource, Failure> {
    if value == "builtin" {
        return Ok(RouterSource::Builtin);
    }
    if value.starts_with("http://") || value.starts_with("https://") {
        return match value.split_once('#') {
            Some((url, model)) if !model.is_empty() => Ok(RouterSource::Endpoint { url: url.to_owned(), model: model.to_owned() }),
            _ => Err(Failure::Input(format!("--router {value}: name the server's model after a #, for example {value}#Arch-Router"))),
        };
    }
    let path = PathBuf::from(value);
    if path.is_dir() {
        return Ok(RouterSource::Folder(path));
    }
    if path.extension().is_some_and(|extension| extension == "gguf") {
        return Ok(RouterSource::Gguf(path));
    }
    let is_hub_id = value.split('/').count() == 2 && !value.starts_with(['.', '/', '~']) && !path.exists();
    if is_hub_id {
        return Ok(RouterSource::Hub(value.to_owned()));
    }
    Err(Failure::Input(format!(
        "--router {value}: there is no such folder; use builtin, a folder with a Qwen2 model, a .gguf file, a Hugging Face id such as katanemo/Arch-Router-1.5B, or http(s)://server#model"
    )))
}

/// Loads the router, with a progress bar on a terminal.
///
/// # Errors
/// Fails when the value is none of the known kinds, or the router cannot be loaded.
pub fn open(arguments: &RouterArguments) -> Result<LocalRouter, Failure> {
    let source = source(&arguments.router)?;
    // Draws on standard error, and only where that is a terminal.
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len}") {
        bar.set_style(style);
    }
    let mut progress = |Progress { stage, done, total }: Progress| {
        bar.set_message(stage);
        bar.set_length(total.unwrap_or(done));
        bar.set_position(done);
    };
    let router = load(&source, arguments.device.choice(), &mut progress, &CancelToken::default());
    bar.finish_and_clear();
    Ok(router?)
}
