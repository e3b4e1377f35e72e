//! Real configurations, which are other people's files and no part of this project: they are read where `../shared` is present.

use std::path::{Path, PathBuf};
use std::process::Command;

use waypost::formats::{ExportFormat, ExportOptions, NoteKind, export_gateway, import_gateway};
use waypost::policy::Policy;

use super::{notes, sample_policies};

/// Returns the folder with the configurations, and says so where there is none.
fn folder() -> Option<PathBuf> {
    let given = std::env::var_os("WAYPOST_SHARED").map(PathBuf::from);
    let folder = given.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared")).join("gateway");
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: there are no gateway configurations in {}; set WAYPOST_SHARED to test with them", folder.display());
    None
}

/// Returns name, text and the gateway's verdict of each configuration in a folder.
fn judged(folder: &Path, part: &str) -> Vec<(String, String, bool)> {
    let outcomes = std::fs::read_to_string(folder.join(format!("{part}_outcomes.txt"))).unwrap();
    outcomes
        .lines()
        .filter_map(|line| {
            let name = line.split('|').next()?.split_whitespace().last()?.to_owned();
            let text = std::fs::read_to_string(folder.join(&name)).unwrap();
            Some((name, text, line.starts_with("ACCEPT")))
        })
        .collect()
}

/// Asks the gateway's own validator about each text, where `WAYPOST_JUDGE_PYTHON` has it installed.
fn judge(folder: &Path, files: &[(String, String)]) {
    let Some(python) = std::env::var_os("WAYPOST_JUDGE_PYTHON") else {
        eprintln!("not judged: set WAYPOST_JUDGE_PYTHON to a Python that has planoai 0.4.36");
        return;
    };
    let temporary = tempfile::tempdir().unwrap();
    let paths: Vec<PathBuf> = files
        .iter()
        .enumerate()
        .map(|(index, (name, text))| {
            let path = temporary.path().join(format!("{index}_{}.yaml", name.replace(['/', ' '], "_")));
            std::fs::write(&path, text).unwrap();
            path
        })
        .collect();
    let output = Command::new(python).arg(folder.join("judge.py")).args(&paths).output().unwrap();
    let verdicts = String::from_utf8_lossy(&output.stdout).into_owned();
    let refused: Vec<&str> = verdicts.lines().filter(|line| !line.starts_with("ACCEPT")).collect();
    assert!(refused.is_empty(), "{}\n{}", refused.join("\n"), String::from_utf8_lossy(&output.stderr));
    assert_eq!(verdicts.lines().count(), files.len());
    assert!(!verdicts.contains("no routing preferences are active"), "{verdicts}");
}

/// Returns every policy to export: the samples, and all that the real and made-up configurations hold.
fn policies(folder: &Path) -> Vec<(String, Policy)> {
    let mut policies = sample_policies();
    let chat_ui = "configs/chatui_routes.chat.pre2265.json".to_owned();
    let chat_ui_text = std::fs::read_to_string(folder.join(&chat_ui)).unwrap();
    policies.push((chat_ui.clone(), import_gateway(&chat_ui_text, &chat_ui).unwrap().policy));
    for (name, text, _) in judged(folder, "configs").into_iter().chain(judged(folder, "broken")) {
        if let Ok(imported) = import_gateway(&text, &name) {
            policies.push((name, imported.policy));
        }
    }
    policies
}

#[test]
fn what_the_gateway_refuses_is_refused_or_noted_and_nothing_else() {
    let Some(folder) = folder() else { return };
    let mut wrong = Vec::new();
    for (name, text, accepted) in judged(&folder, "configs").into_iter().chain(judged(&folder, "broken")) {
        match import_gateway(&text, &name) {
            Ok(imported) => {
                let refused = imported.notes.iter().any(|note| note.kind == NoteKind::Refused);
                if refused == accepted {
                    wrong.push(format!("{name}: accepted {accepted}, notes {:#?}", notes(&imported)));
                }
            }
            // A policy cannot hold everything that a gateway accepts, but must say why.
            Err(error) => {
                let known = ["no routes", "appears twice", "empty name"].iter().any(|part| error.to_string().contains(part));
                if accepted && !known {
                    wrong.push(format!("{name}: {error}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn nearly_all_real_configurations_import() {
    let Some(folder) = folder() else { return };
    let all = judged(&folder, "configs");
    let refused: Vec<String> =
        all.iter().filter_map(|(name, text, _)| import_gateway(text, name).err().map(|error| error.to_string())).collect();
    assert!(all.len() > 40, "{} configurations", all.len());
    assert!(refused.iter().all(|reason| reason.contains("holds no routes; add routes")), "{}", refused.join("\n"));
    assert!(refused.len() <= 4, "{}", refused.join("\n"));
}

#[test]
fn exports_are_accepted_by_both_tiers_and_import_back() {
    let Some(folder) = folder() else { return };
    let mut files = Vec::new();
    let mut refused = Vec::new();
    for (name, policy) in policies(&folder) {
        for format in [ExportFormat::Plano04, ExportFormat::Plano03] {
            let exported = match export_gateway(&policy, ExportOptions { format, ..ExportOptions::default() }) {
                Ok(exported) => exported,
                Err(error) => {
                    refused.push(format!("{name} as {format}: {error}"));
                    continue;
                }
            };
            let back = import_gateway(&exported.text, &name).unwrap_or_else(|error| panic!("{error}\n{}", exported.text));
            assert_eq!(back.policy, policy, "{name} as {format}\n{}", exported.text);
            files.push((format!("{name}_{format}"), exported.text));
        }
    }
    // These name models that no gateway can be told about: a variable, a wildcard's, no provider, none at all.
    let refusable = ["08_", "09_", "16_", "17_", "26_", "31_", "46_", "69_", "20_"];
    let unexpected: Vec<&String> = refused.iter().filter(|reason| !refusable.iter().any(|part| reason.contains(part))).collect();
    assert!(unexpected.is_empty(), "{unexpected:#?}");
    assert!(files.len() > 100, "{}", files.len());
    judge(&folder, &files);
}

#[test]
fn routes_go_into_real_configurations() {
    let Some(folder) = folder() else { return };
    let samples = sample_policies();
    let mut files = Vec::new();
    let mut refused = Vec::new();
    for (name, text, accepted) in judged(&folder, "configs").into_iter().chain(judged(&folder, "broken")) {
        if !accepted {
            continue;
        }
        let own = import_gateway(&text, &name).ok().map(|imported| ("itself".to_owned(), imported.policy));
        for (source, policy) in samples.iter().cloned().chain(own) {
            let options = ExportOptions { into: Some((&text, &name)), ..ExportOptions::default() };
            match export_gateway(&policy, options) {
                Ok(exported) => {
                    let back = import_gateway(&exported.text, &name).unwrap().policy;
                    let routes = |policy: &Policy| policy.routes.clone();
                    assert_eq!(routes(&back), routes(&policy), "{source} into {name}\n{}", exported.text);
                    let again = export_gateway(&policy, ExportOptions { into: Some((&exported.text, &name)), ..options }).unwrap();
                    assert_eq!(again.text, exported.text, "{source} into {name} twice");
                    files.push((format!("{name}_{}", source.rsplit('/').nth(1).unwrap_or(&source)), exported.text));
                }
                Err(error) => refused.push(format!("{source} into {name}: {error}")),
            }
        }
    }
    let unexpected: Vec<&String> = refused.iter().filter(|reason| !reason.contains("64_dup_key")).collect();
    assert!(unexpected.is_empty(), "{unexpected:#?}");
    assert!(files.len() > 200, "{}", files.len());
    judge(&folder, &files);
}
