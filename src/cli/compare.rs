//! `waypost compare`: variants of a policy, routers, dialects or saved runs on one labelled set.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use indicatif::{ProgressBar, ProgressStyle};

use super::args::{CompareArguments, RouterArguments};
use super::eval::{check_folder, write, write_set};
use super::input::{note_budget, refuse_two_stdins};
use super::measure::{Measured, OpenSet, ReadPolicy, kept, measure, open_set, read_policy_file, stop_at_interrupt, warn_findings};
use super::{Failure, report, router};
use crate::app::measure::{Measurement, Resumable, attribute, open_run};
use crate::app::replace_file;
use crate::decision::RouterInfo;
use crate::engine::{CancelToken, Router};
use crate::eval::{Better, Causes, Comparison, Run, compare};
use crate::formats::{CompareReport, Compared, LabelledSet};
use crate::policy::{DialectId, policy_changes};

/// Measures each variant, compares them with the first one, prints and writes, and fails the gate when the last one is worse.
///
/// # Errors
/// Fails on bad input, also where a run would be written over one that is compared, when a router cannot be loaded or run, when the gate fails,
/// and when it was interrupted: then with the runs that were measured until then in their folders.
pub fn run(arguments: &CompareArguments) -> Result<(), Failure> {
    // All that can be wrong with what was asked is found before the first decision.
    let planned = planned(arguments)?;
    let mut variants = Vec::new();
    for path in &arguments.run {
        let run = open_run(path)?;
        variants.push(Variant { router: run.info.router.id.clone(), run, resumable: None, is_kept: true });
    }
    if variants.len() + planned.len() < 2 {
        return Err(Failure::Input("there is nothing to compare; give --policy, --router, --dialect or --run at least twice".to_owned()));
    }
    let cancel = stop_at_interrupt()?;
    let set = arguments.set.as_deref().map(open_set).transpose()?;
    if let Some(folder) = &arguments.out {
        check_folder(folder)?;
    }
    let before = variants.len();
    write_saved(arguments, &variants, planned.len())?;
    let mut routers = Routers { arguments, open: None };
    if let Some(OpenSet { set, .. }) = &set {
        variants.extend(measured(arguments, planned, before, set, &mut routers, &cancel)?);
    }
    let names: Vec<String> = (0..variants.len()).map(name).collect();
    let mut comparisons = Vec::new();
    for (at, variant) in variants.iter().enumerate().skip(1) {
        let first = &variants[0];
        let present = set.as_ref().map(|open| open.set.sha256());
        let mut comparison = compare(&first.run, &variant.run, [&names[0], &names[at]], arguments.seed, present);
        let is_edited = !policy_changes(&first.run.policy, &variant.run.policy).is_empty();
        if !arguments.no_causes && is_edited && !comparison.flips.is_empty() && !cancel.is_cancelled() {
            let set = set.as_ref().map(|open| &*open.set);
            // What was measured is worth more than what explains it.
            if let Err(failure) = causes(&first.run, variant, &mut comparison, set, &mut routers, &cancel) {
                report::tell(&format!("warning: which edits cause the flips of {} could not be determined: {failure}", names[at]));
                comparison.causes = Causes::Unknown(failure.to_string());
            }
        }
        comparisons.push(Compared { at, comparison });
    }
    let are_kept = variants.iter().all(|variant| variant.is_kept);
    let (runs, resumables): (Vec<Run>, Vec<Option<Resumable>>) =
        variants.into_iter().map(|variant| (variant.run, variant.resumable)).unzip();
    let report = CompareReport { names: &names, runs: &runs, comparisons: &comparisons };
    // First, so that a folder that cannot be written to any more does not cost the comparison too.
    let printed = report::print(&if arguments.json { report.to_json() } else { report.to_text() });
    if let Some(folder) = &arguments.out {
        write_all(folder, &report)?;
    }
    printed?;
    if cancel.is_cancelled() {
        let next = if are_kept {
            "and the same command looks for all causes again"
        } else {
            "but no result is kept, so the same command measures them again"
        };
        return Err(Failure::Stopped(format!("stopped while looking for the causes of flips; the runs are complete, {next}")));
    }
    resumables.into_iter().flatten().for_each(Resumable::end);
    match comparisons.last().filter(|last| arguments.fail_if_worse && last.comparison.better == Better::A) {
        Some(Compared { at, comparison }) => {
            Err(Failure::Gate(format!("{} is worse than the baseline ({})", names[*at], comparison.verdict)))
        }
        None => Ok(()),
    }
}

/// A run to compare and the router it is of, as `--router` names it.
struct Variant {
    router: String,
    run: Run,
    /// Of a run that was measured just now: until it is ended, the same command goes on from the run.
    resumable: Option<Resumable>,
    /// Whether the same command finds its results again.
    is_kept: bool,
}

/// A, B, C and so on, as the report calls the variants.
fn name(at: usize) -> String {
    u8::try_from(at).ok().filter(|at| *at < 26).map_or_else(|| format!("V{}", at + 1), |at| char::from(b'A' + at).to_string())
}

/// A variant that is to be measured.
struct Planned {
    read: ReadPolicy,
    router: String,
    dialect: Option<DialectId>,
}

/// Reads every combination that the arguments name: as many variants as the longest of their lists, shorter ones given once for all.
///
/// # Errors
/// The arguments do not fit together, a policy cannot be read, or a router is not where it is said to be.
fn planned(arguments: &CompareArguments) -> Result<Vec<Planned>, Failure> {
    if arguments.policy.is_empty() {
        if arguments.limit.is_some() && !arguments.run.is_empty() {
            return Err(Failure::Input("leave out --limit: saved runs have the cases that they have".to_owned()));
        }
        return Ok(Vec::new());
    }
    let Some(set) = &arguments.set else {
        return Err(Failure::Input("name the labelled set to compare on with --set".to_owned()));
    };
    let policies = arguments.policy.iter().map(|path| ("--policy", path.as_path()));
    refuse_two_stdins(policies.chain([("--set", set.as_path())]))?;
    let default_router = vec!["builtin".to_owned()];
    let router_names = if arguments.router.is_empty() { &default_router } else { &arguments.router };
    let count = arguments.policy.len().max(arguments.router.len()).max(arguments.dialect.len());
    for (option, given) in [("--policy", arguments.policy.len()), ("--router", router_names.len()), ("--dialect", arguments.dialect.len())]
    {
        if given > 1 && given != count {
            return Err(Failure::Input(format!(
                "{option} is given {given} times, but there are {count} variants; give it once, or once for each"
            )));
        }
    }
    for name in router_names {
        router::check(&named(arguments, name))?;
    }
    let policies = arguments.policy.iter().map(|path| read_policy_file(path)).collect::<Result<Vec<_>, _>>()?;
    let pick = |list: usize, at: usize| if list == 1 { 0 } else { at };
    let plan = |at: usize| Planned {
        read: policies[pick(policies.len(), at)].clone(),
        router: router_names[pick(router_names.len(), at)].clone(),
        dialect: arguments.dialect.get(pick(arguments.dialect.len(), at)).copied(),
    };
    Ok((0..count).map(plan).collect())
}

/// Measures what is planned, and writes each run before the next one starts; `before` is the number of variants that there are already.
fn measured(
    arguments: &CompareArguments,
    planned: Vec<Planned>,
    before: usize,
    set: &Arc<LabelledSet>,
    routers: &mut Routers<'_>,
    cancel: &CancelToken,
) -> Result<Vec<Variant>, Failure> {
    // By router, so that each is loaded once.
    let names: Vec<String> = planned.iter().map(|planned| planned.router.clone()).collect();
    let mut order: Vec<(usize, Planned)> = planned.into_iter().enumerate().collect();
    order.sort_by_key(|(_, planned)| names.iter().position(|name| *name == planned.router));
    let mut variants = BTreeMap::new();
    for (at, Planned { read, router: router_name, dialect }) in order {
        let findings = set.findings(&read.policy);
        warn_findings(&findings);
        let router = routers.get(&router_name)?;
        let description = router.description();
        let router_digest = router::digest(&description, &router::source(&router_name)?)?;
        let dialect = dialect.or(read.policy.dialect).unwrap_or(DialectId::DEFAULT);
        note_budget(arguments.budget, description.info.dialect_of(dialect));
        let measurement = Measurement {
            dialect,
            budget: arguments.budget,
            policy: read.policy,
            policy_source: read.source,
            set: Arc::clone(set),
            orders: arguments.orders,
            seed: arguments.seed,
            limit: arguments.limit,
            router: description.info,
            router_digest,
            name: String::new(),
            min_agreement: None,
            min_recall: None,
            kept: kept(&arguments.keep),
        };
        let Measured { run, failure, resumable, is_kept, .. } = measure(&measurement, router, cancel)?;
        write_run(arguments, before + at, &run)?;
        if let Some(folder) = &arguments.out {
            write_set(&folder.join(name(before + at).to_lowercase()), set, &findings)?;
        }
        if let Some(failure) = failure {
            return Err(failure);
        }
        variants.insert(at, Variant { router: router_name, run, resumable: Some(resumable), is_kept });
    }
    Ok(variants.into_values().collect())
}

/// Finds which edit causes each flip.
fn causes(
    first: &Run,
    second: &Variant,
    comparison: &mut Comparison,
    set: Option<&LabelledSet>,
    routers: &mut Routers<'_>,
    cancel: &CancelToken,
) -> Result<(), Failure> {
    let set = set.ok_or_else(|| Failure::Input("name the set that was measured with --set".to_owned()))?;
    let mut search = attribute(first, &second.run, comparison, set).map_err(Failure::Input)?;
    while let Some(requests) = search.next_round() {
        let router = routers.get(&second.router)?;
        let (here, there) = (router.description().info, &second.run.info.router);
        if !here.decides_as(there) {
            let words = |router: &RouterInfo| format!("{}{}", router.id, router.place());
            return Err(Failure::Input(format!("the runs are of {}, and here is {}; name another --device", words(there), words(&here))));
        }
        let bar = ProgressBar::new(requests.len() as u64);
        if let Ok(style) = ProgressStyle::with_template("Looking for the causes of flips {wide_bar} {pos}/{len}  {eta} left") {
            bar.set_style(style);
        }
        let mut done = |request, result| {
            search.take(request, result);
            bar.inc(1);
        };
        let outcome = router.decide_all(&mut requests.into_iter(), &mut done, cancel);
        bar.finish_and_clear();
        outcome?;
    }
    search.finish(comparison);
    Ok(())
}

/// The routers of the variants, one loaded at a time: two may not fit into memory.
struct Routers<'a> {
    arguments: &'a CompareArguments,
    open: Option<(String, Box<dyn Router>)>,
}

impl Routers<'_> {
    fn get(&mut self, name: &str) -> Result<&mut dyn Router, Failure> {
        if self.open.as_ref().is_none_or(|(open, _)| open != name) {
            self.open = None;
            self.open = Some((name.to_owned(), router::open(&named(self.arguments, name))?));
        }
        match &mut self.open {
            Some((_, router)) => Ok(router.as_mut()),
            None => Err(Failure::Router(format!("{name}: the router could not be loaded"))),
        }
    }
}

/// Returns one of the routers as the other commands name theirs.
fn named(arguments: &CompareArguments, name: &str) -> RouterArguments {
    let CompareArguments { device, asking, .. } = *arguments;
    RouterArguments { router: Some(name.to_owned()), device, asking }
}

/// Writes the runs that were read to their folders, except those that lie there.
///
/// # Errors
/// A folder cannot be written to, or a variant would take the place of another run that was read.
fn write_saved(arguments: &CompareArguments, saved: &[Variant], planned: usize) -> Result<(), Failure> {
    let Some(out) = &arguments.out else { return Ok(()) };
    let sources: Vec<Option<PathBuf>> = arguments.run.iter().map(|path| folder_of(path)).collect();
    // What is not there yet is no run that was read.
    let targets: Vec<Option<PathBuf>> =
        (0..saved.len() + planned).map(|at| out.join(name(at).to_lowercase()).canonicalize().ok()).collect();
    let lies_there = |at: usize| targets[at].is_some() && sources.get(at) == Some(&targets[at]);
    for (at, target) in targets.iter().enumerate().filter(|(at, target)| target.is_some() && !lies_there(*at)) {
        if let Some(read) = sources.iter().position(|source| source == target) {
            return Err(Failure::Input(format!(
                "--out {}: the run {} would be written over {}, which was read as {}; name another folder",
                out.display(),
                name(at),
                arguments.run[read].display(),
                name(read)
            )));
        }
    }
    for (at, variant) in saved.iter().enumerate().filter(|(at, _)| !lies_there(*at)) {
        write_run(arguments, at, &variant.run)?;
    }
    Ok(())
}

/// Returns the folder of a run that is named by it or by its `report.json`.
fn folder_of(path: &Path) -> Option<PathBuf> {
    let folder = if path.is_dir() { Some(path) } else { path.parent() };
    // Of a bare file name the folder is the present one.
    folder.map(|folder| if folder.as_os_str().is_empty() { Path::new(".") } else { folder })?.canonicalize().ok()
}

/// Writes the run of a variant to its folder, where any of it is to be written.
fn write_run(arguments: &CompareArguments, at: usize, run: &Run) -> Result<(), Failure> {
    arguments.out.as_ref().map_or(Ok(()), |folder| write(&folder.join(name(at).to_lowercase()), run))
}

fn write_all(folder: &Path, report: &CompareReport<'_>) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::Input(format!("--out {}: {error}; name another folder", folder.display()));
    replace_file(&folder.join("matrix.csv"), |file| report.write_matrix(file)).map_err(failed)?;
    replace_file(&folder.join("compare.md"), |file| file.write_all(report.to_markdown().as_bytes())).map_err(failed)?;
    replace_file(&folder.join("compare.json"), |file| file.write_all(report.to_json().as_bytes())).map_err(failed)
}
