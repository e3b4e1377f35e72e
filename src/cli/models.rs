//! `waypost models`: which routers there are, downloading them, where they lie, and whether they are intact.

use std::io::{IsTerminal as _, Write as _};

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::args::{Device, ModelsArguments, ModelsCommand};
use super::{Failure, report, router};
use crate::app::{Remembered, data_folder};
use crate::engine::{
    CancelToken, Checked, Hub, ListedRouter, Plan, Presence, Progress, RouterSource, find_in_cache, list_routers, memory, verify_file,
    verify_hub,
};

/// Does what the arguments ask for.
///
/// # Errors
/// Fails when a router is not there, cannot be fetched, or is damaged.
pub fn run(arguments: &ModelsArguments) -> Result<(), Failure> {
    match &arguments.command {
        None => list(false, Device::Auto),
        Some(ModelsCommand::List { json, device }) => list(*json, *device),
        Some(ModelsCommand::Pull { router, accept_licence }) => pull(router, *accept_licence),
        Some(ModelsCommand::Path { router }) => report::print(&format!("{}\n", path(router)?.display())),
        Some(ModelsCommand::Verify { router }) => verify(router),
    }
}

/// One line of `waypost models list --json`.
#[derive(Serialize)]
struct Line {
    router: String,
    label: String,
    /// `here`, `to download` or `unusable`.
    state: &'static str,
    reason: Option<String>,
    path: Option<String>,
    disk_bytes: Option<u64>,
    memory_bytes: Option<u64>,
    fits: Option<bool>,
    stored: String,
    licence: Option<String>,
    sha256: Option<String>,
    /// Median of the newest decisions here.
    decision_ms: Option<f64>,
}

fn list(json: bool, device: Device) -> Result<(), Failure> {
    let available = memory().available;
    let remembered = data_folder().map(|folder| Remembered::read(&folder)).unwrap_or_default();
    let lines: Vec<Line> = list_routers(&[], device.choice()).into_iter().map(|router| line(router, available, &remembered)).collect();
    if json {
        return report::print_json(&lines);
    }
    let width = lines.iter().map(|line| line.router.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for line in lines {
        let gigabytes = |bytes: Option<u64>| bytes.map_or_else(|| "-".to_owned(), |bytes| format!("{:.2} GB", bytes as f64 / 1e9));
        let fits = match line.fits {
            Some(true) => "fits",
            Some(false) => "does not fit",
            None => "",
        };
        let speed = line.decision_ms.map(|ms| format!(", {ms:.0} ms a decision here")).unwrap_or_default();
        text += &format!(
            "{:width$}  {:11}  {:>9} on disk, {:>9} of memory {fits}{speed}\n",
            line.router,
            line.state,
            gigabytes(line.disk_bytes),
            gigabytes(line.memory_bytes)
        );
        if let Some(reason) = line.reason {
            text += &format!("{:width$}  {reason}\n", "");
        }
    }
    text += &format!("\n{:.1} GB of memory are free. `waypost models pull ROUTER` downloads one.\n", available as f64 / 1e9);
    report::print(&text)
}

fn line(router: ListedRouter, available: u64, remembered: &Remembered) -> Line {
    let id = router.source.to_string();
    let (state, reason) = match router.presence {
        Presence::Here => ("here", None),
        Presence::ToDownload => ("to download", None),
        Presence::Remote => ("server", None),
        Presence::Unusable(reason) => ("unusable", Some(reason)),
    };
    Line {
        decision_ms: ["cpu", "cuda", "metal"].iter().find_map(|device| remembered.speed(&id, device)).map(|(median, _)| median),
        router: id,
        label: router.label,
        state,
        reason,
        path: router.path.map(|path| path.display().to_string()),
        disk_bytes: router.disk_bytes,
        memory_bytes: router.memory_bytes,
        fits: router.memory_bytes.map(|needed| needed <= available),
        stored: router.stored,
        licence: router.licence,
        sha256: router.digest,
    }
}

fn pull(name: &str, accept: bool) -> Result<(), Failure> {
    let RouterSource::Hub(id) = router::source(name)? else {
        return Err(Failure::Input(format!(
            "{name} is nothing to download; name a router on the Hub, for example katanemo/Arch-Router-1.5B"
        )));
    };
    let cancel = CancelToken::default();
    let hub = Hub::from_environment()?;
    let plan = hub.plan(&id, &cancel)?;
    agree(&plan, accept)?;
    let bar = ProgressBar::new(plan.bytes());
    if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left") {
        bar.set_style(style);
    }
    let mut first = true;
    let mut progress = |Progress { stage, done, .. }: Progress| {
        // What was there before this start tells nothing about the rate.
        if std::mem::take(&mut first) {
            bar.reset_eta();
        }
        bar.set_message(stage);
        bar.set_position(done);
    };
    let fetched = hub.fetch(&plan, &mut progress, &cancel);
    bar.finish_and_clear();
    report::print(&format!("{}\n", fetched?.display()))
}

/// Shows the licence and has it accepted, once for each text.
fn agree(plan: &Plan, accept: bool) -> Result<(), Failure> {
    let folder = data_folder();
    let remembered = folder.as_ref().map(|folder| Remembered::read(folder)).unwrap_or_default();
    if remembered.is_accepted(&plan.repo, &plan.licence) {
        return Ok(());
    }
    let licence = &plan.licence;
    let name = if licence.name.is_empty() { "none named" } else { &licence.name };
    report::tell(&format!("{}, {:.2} GB. Licence: {name}", plan.repo, plan.bytes() as f64 / 1e9));
    if let Some(link) = &licence.link {
        report::tell(link);
    }
    if !licence.text.is_empty() {
        report::tell(&format!("\n{}\n", licence.text.trim_end()));
    }
    if !accept {
        if !std::io::stdin().is_terminal() {
            return Err(Failure::Input(format!("the licence of {} was not accepted; read it above, then add --accept-licence", plan.repo)));
        }
        report::ask("Type yes to accept it and download: ");
        std::io::stderr().flush().ok();
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer).ok();
        if !answer.trim().eq_ignore_ascii_case("yes") {
            return Err(Failure::Input("the licence was not accepted; nothing was downloaded".to_owned()));
        }
    }
    if let Some(folder) = folder
        && let Err(reason) = Remembered::change(&folder, |remembered| remembered.accept(&plan.repo, licence))
    {
        report::tell(&format!("warning: {reason}; the licence will be asked about again"));
    }
    Ok(())
}

fn path(name: &str) -> Result<std::path::PathBuf, Failure> {
    match router::source(name)? {
        RouterSource::Hub(id) => Ok(find_in_cache(&id)?.path),
        source => {
            let named = source.path().map(std::path::Path::to_owned);
            let listed = || list_routers(&[], Device::Auto.choice()).into_iter().find(|router| router.source == source)?.path;
            named.or_else(listed).ok_or_else(|| Failure::Router(format!("{name} has no files here")))
        }
    }
}

fn verify(name: &str) -> Result<(), Failure> {
    let cancel = CancelToken::default();
    let bar = ProgressBar::no_length();
    if let Ok(style) = ProgressStyle::with_template("Reading {bytes}  {bytes_per_sec}") {
        bar.set_style(style);
    }
    let mut progress = |done| bar.set_position(done);
    let source = router::source(name)?;
    let checked: Vec<Checked> = match &source {
        RouterSource::Hub(id) => verify_hub(id, &mut progress, &cancel)?,
        _ => {
            let path = path(name)?;
            let files = if path.is_dir() { files_of(&path)? } else { vec![path] };
            files.iter().map(|file| verify_file(file, &mut progress, &cancel)).collect::<Result<_, _>>()?
        }
    };
    bar.finish_and_clear();
    let mut text = String::new();
    for Checked { name, bytes, digest, is_intact, .. } in &checked {
        let verdict = match is_intact {
            Some(true) => "intact",
            Some(false) => "DAMAGED",
            None => "nothing to compare with",
        };
        text += &format!("{}  {bytes:>12}  {name}  {verdict}\n", digest.hex());
    }
    report::print(&text)?;
    match checked.iter().find(|file| file.is_intact == Some(false)) {
        Some(Checked { name: file, path, .. }) => {
            let path = path.display();
            let remedy = match source {
                RouterSource::Hub(_) => format!("pull {name} again, which replaces {path}"),
                _ => format!("delete {path} and download it again"),
            };
            Err(Failure::Gate(format!("{file} is not what the Hub declared when it was downloaded; {remedy}")))
        }
        None => Ok(()),
    }
}

fn files_of(folder: &std::path::Path) -> Result<Vec<std::path::PathBuf>, Failure> {
    let entries = std::fs::read_dir(folder).map_err(|error| Failure::Router(format!("{}: {error}", folder.display())))?;
    let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    files.sort();
    Ok(files)
}
