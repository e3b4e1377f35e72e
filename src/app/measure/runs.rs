//! Runs in folders: `report.json`, `cases.csv`, `report.md` and `junit.xml`, in reports also `set_findings.csv`.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use crate::app::replace::replace_file;
use crate::eval::{Run, RunInfo};
use crate::formats::{
    Digesting, FormatError, LabelledSet, RunSummary, SetFinding, junit_xml, read_run, read_summary, read_text, report_json,
    report_markdown, write_cases, write_set_findings,
};

const REPORT: &str = "report.json";
const CASES: &str = "cases.csv";

/// A run in its folder, without its cases.
#[derive(Clone, Debug, PartialEq)]
pub struct SavedRun {
    pub folder: PathBuf,
    pub summary: RunSummary,
}

/// Writes a run to a folder, which is made where there is none. Each file is replaced as a whole, and at any time the folder holds a run that
/// can be read, the one before or this one: new cases lie beside the old ones under a name of their own until the report that names their digest
/// is there.
///
/// # Errors
/// The folder cannot be written to.
pub fn write_run(folder: &Path, run: &Run) -> std::io::Result<()> {
    let mut digesting = Digesting::new(std::io::sink());
    write_cases(run, &mut digesting)?;
    let digest = digesting.finish();
    let texts = [("report.md", report_markdown(run)), ("junit.xml", junit_xml(run)), (REPORT, report_json(run, &digest))];
    std::fs::create_dir_all(folder)?;
    let new = folder.join(new_cases(&digest));
    replace_file(&new, |file| write_cases(run, file))?;
    for (name, text) in texts {
        replace_file(&folder.join(name), |file| file.write_all(text.as_bytes()))?;
    }
    std::fs::rename(new, folder.join(CASES))
}

/// Writes everything that is wrong and odd with a run's set into the run's folder, in place of what was said there of another set.
///
/// # Errors
/// The folder cannot be written to.
pub fn write_findings(folder: &Path, set: &LabelledSet, findings: &[SetFinding]) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    replace_file(&folder.join("set_findings.csv"), |file| write_set_findings(set, findings, file))
}

/// Where the cases with a digest lie until their report is there; still there where the process was killed in between.
fn new_cases(digest: &str) -> String {
    format!("cases-{digest}.csv")
}

/// Reads a run from its folder, or from its `report.json`.
///
/// # Errors
/// One of its files is missing, no such file, or not of the same run.
pub fn open_run(path: &Path) -> Result<Run, FormatError> {
    let report = if path.is_dir() { path.join(REPORT) } else { path.to_owned() };
    let label = report.display().to_string();
    let json = read_text(&report)?;
    let summary = read_summary(&json, &label)?;
    let new = report.with_file_name(new_cases(&summary.cases_sha256));
    let cases = if new.is_file() { new } else { report.with_file_name(CASES) };
    let cases_label = cases.display().to_string();
    let failed = |message: String| FormatError {
        path: cases_label.clone(),
        line: None,
        column: None,
        message,
        remedy: "keep the files of a run together, or measure again with `waypost eval --out`".to_owned(),
    };
    let file = File::open(&cases).map_err(|error| failed(format!("the cases of {label} cannot be read ({error})")))?;
    let mut digesting = Digesting::new(BufReader::new(file));
    let run = read_run(&json, &label, &mut digesting, &cases_label)?;
    if digesting.finish() != summary.cases_sha256 {
        return Err(failed(format!("these are not the cases of {label}, or they were changed")));
    }
    Ok(run)
}

/// Returns the runs in the folders of a folder, the newest first. What is no run is passed over.
pub fn list_runs(folder: &Path) -> Vec<SavedRun> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let read = |folder: PathBuf| {
        let report = folder.join(REPORT);
        let summary = read_summary(&read_text(&report).ok()?, &report.display().to_string()).ok()?;
        Some(SavedRun { folder, summary })
    };
    let mut runs: Vec<SavedRun> = entries.filter_map(|entry| read(entry.path())).collect();
    runs.sort_by(|a, b| b.summary.info.date.cmp(&a.summary.info.date).then_with(|| a.folder.cmp(&b.folder)));
    runs
}

/// Returns a name for a run's folder that sorts by time and that every file system takes: `2026-11-26T11-34-02-travel`.
pub fn run_folder_name(info: &RunInfo) -> String {
    let tame = |text: &str, most: usize| -> String {
        text.chars().take(most).map(|c| if c.is_alphanumeric() || matches!(c, '-' | '_') { c } else { '-' }).collect()
    };
    format!("{}-{}", tame(info.date.trim_end_matches('Z'), 19), tame(&info.name, 40))
}
