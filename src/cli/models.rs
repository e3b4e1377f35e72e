//! `waypost models`: which routers there are, downloading them, where they lie, and whether they are intact.

use std::io::{IsTerminal as _, Write as _};

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::args::Device;
use super::models_args::{ModelsArguments, ModelsCommand};
use super::{Failure, report, router};
use crate::app::{Remembered, data_folder, named_routers};
use crate::engine::{
    CancelToken, Checked, Hub, ListedRouter, Place, Plan, Presence, Progress, RouterSource, find_in_cache, list_routers, verify_file,
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
    /// `here`, `to download`, `server` or `unusable`.
    state: &'static str,
    reason: Option<String>,
    path: Option<String>,
    disk_bytes: Option<u64>,
    /// Where it would run: of the GPU's own memory where it has one.
    memory_bytes: Option<u64>,
    /// `None` where nobody tells what is free there.
    fits: Option<bool>,
    stored: String,
    licence: Option<String>,
    sha256: Option<String>,
    /// Median of the newest decisions where it would run; what another device took says nothing of it.
    decision_ms: Option<f64>,
}

fn list(json: bool, device: Device) -> Result<(), Failure> {
    let place = Place::of(device.choice());
    let data = data_folder();
    let remembered = data.as_deref().map(Remembered::read).unwrap_or_default();
    let named = data.as_deref().map(named_routers).unwrap_or_default();
    let lines: Vec<Line> = list_routers(&named, &place, None).into_iter().map(|router| line(router, &place, &remembered)).collect();
    if json {
        return report::print_json(&lines);
    }
    let width = lines.iter().map(|line| line.router.chars().count()).max().unwrap_or(0);
    let mut text: String = lines.iter().map(|line| line_text(line, width, &place)).collect();
    let what = place.memory_name();
    text += &if place.memory.total > 0 {
        format!("\n{:.1} GB of {what} are free.", place.memory.available as f64 / 1e9)
    } else {
        format!("\nHow much {what} is free is not known here.")
    };
    text += " `waypost models pull ROUTER` downloads one.\n";
    report::print(&text)
}

/// Returns what people want to know of a router, in one line or a few.
fn line_text(line: &Line, width: usize, place: &Place) -> String {
    let gigabytes = |bytes: u64| format!("{:6.2} GB", bytes as f64 / 1e9);
    let mut facts = Vec::new();
    facts.extend(line.disk_bytes.map(|bytes| format!("{} on disk", gigabytes(bytes))));
    if let Some(needed) = line.memory_bytes {
        let verdict = match line.fits {
            None => String::new(),
            Some(true) => ", fits".to_owned(),
            Some(false) => format!(", {}", place.shortage(needed)),
        };
        facts.push(format!("{} of {}{verdict}", gigabytes(needed), place.memory_name()));
    }
    facts.extend(line.decision_ms.map(|ms| format!("{ms:.0} ms a decision here")));
    let mut origin = Vec::new();
    if !line.stored.is_empty() {
        origin.push(line.stored.clone());
    }
    origin.extend(line.licence.as_ref().map(|licence| format!("licence: {licence}")));
    origin.extend(line.sha256.as_ref().map(|digest| format!("SHA-256 {}", digest.get(..12).unwrap_or(digest))));
    let first = format!("{:width$}  {:11}  {}", line.router, line.state, facts.join(", "));
    let others = [origin.join(", "), line.reason.clone().unwrap_or_default()];
    let others = others.iter().filter(|text| !text.is_empty()).map(|text| format!("{:width$}  {text}\n", ""));
    format!("{}\n{}", first.trim_end(), others.collect::<String>())
}

fn line(router: ListedRouter, place: &Place, remembered: &Remembered) -> Line {
    let id = router.source.to_string();
    let (state, reason) = match router.presence {
        Presence::Here => ("here", None),
        Presence::ToDownload => ("to download", None),
        Presence::Remote => ("server", None),
        Presence::Unusable(reason) => ("unusable", Some(reason)),
    };
    Line {
        decision_ms: [place.device, "server", "gateway"].iter().find_map(|device| remembered.speed(&id, device)).map(|(median, _)| median),
        router: id,
        label: router.label,
        state,
        reason,
        path: router.path.map(|path| path.display().to_string()),
        disk_bytes: router.disk_bytes,
        memory_bytes: router.memory_bytes,
        fits: router.memory_bytes.and_then(|needed| place.fits(needed)),
        stored: router.stored,
        licence: router.licence,
        sha256: router.digest,
    }
}

fn pull(name: &str, accept: bool) -> Result<(), Failure> {
    let Ok(RouterSource::Hub(id)) = name.parse::<RouterSource>() else {
        // An address may have a password in it.
        let shown = if name.contains("://") { "a server" } else { name };
        return Err(Failure::Input(format!(
            "{shown} cannot be downloaded; name a router on the Hub, for example katanemo/Arch-Router-1.5B"
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

/// Reads the name of a router that has files here.
fn named(name: &str) -> Result<RouterSource, Failure> {
    name.parse().map_err(|_| {
        if router::is_path(name) {
            Failure::Router(format!("{name}: there is no such router; check the path"))
        } else {
            // An address may have a password in it.
            let shown = if name.contains("://") { "a server" } else { name };
            Failure::Input(format!(
                "{shown} has no files here; name builtin, a folder, a .gguf file or a Hugging Face id such as katanemo/Arch-Router-1.5B"
            ))
        }
    })
}

fn path(name: &str) -> Result<std::path::PathBuf, Failure> {
    let source = named(name)?;
    if let RouterSource::Hub(id) = &source {
        return Ok(find_in_cache(id)?.path);
    }
    if let Some(named) = source.path() {
        router::check_path(named)?;
        return Ok(named.to_owned());
    }
    let listed = list_routers(&[], &Place::of(Device::Cpu.choice()), None).into_iter().find(|router| router.source == source);
    match listed {
        Some(ListedRouter { path: Some(path), .. }) => Ok(path),
        Some(ListedRouter { presence: Presence::Unusable(reason), .. }) => Err(Failure::Router(reason)),
        _ => Err(Failure::Router(format!("{name} has no files here; name a folder, a .gguf file or a router of the Hub"))),
    }
}

fn verify(name: &str) -> Result<(), Failure> {
    let cancel = CancelToken::default();
    let bar = ProgressBar::no_length();
    if let Ok(style) = ProgressStyle::with_template("Reading {bytes}  {bytes_per_sec}") {
        bar.set_style(style);
    }
    let mut progress = |done| bar.set_position(done);
    let source = named(name)?;
    let checked: Vec<Checked> = match &source {
        RouterSource::Hub(id) => verify_hub(id, &mut progress, &cancel)?,
        _ => {
            let path = path(name)?;
            let files = if path.is_dir() { files_of(&path)? } else { vec![path] };
            files.iter().map(|file| verify_file(file, &mut progress, &cancel)).collect::<Result<_, _>>()?
        }
    };
    bar.finish_and_clear();
    if checked.is_empty() {
        return Err(Failure::Router(format!("{name} has no files; name the folder that holds the router's own")));
    }
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
