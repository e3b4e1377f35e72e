//! The samples that ship: what a newcomer opens first must be right.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use waypost::chat::labelled::{Expected, LabelledCase};
use waypost::formats::{LabelledReader, open, parse_policy, read_text};
use waypost::policy::{NO_ROUTE_LABEL, Policy};

fn folders() -> Vec<PathBuf> {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("sample_policies");
    std::fs::read_dir(samples).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect()
}

fn policy(folder: &Path) -> Policy {
    let path = folder.join("policy.yaml");
    let (policy, warnings) = parse_policy(&read_text(&path).unwrap(), &path.display().to_string()).unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    policy
}

fn cases(path: &Path) -> Vec<LabelledCase> {
    LabelledReader::new(open(path).unwrap(), path.display().to_string()).collect::<Result<_, _>>().unwrap()
}

#[test]
fn every_label_is_a_route_and_every_route_has_cases() {
    let folders = folders();
    assert!(folders.len() >= 5);
    for folder in folders {
        let policy = policy(&folder);
        let cases = cases(&folder.join("labelled.jsonl"));
        assert!((25..=60).contains(&cases.len()), "{}: {} cases", folder.display(), cases.len());
        let mut support: HashMap<&str, usize> = HashMap::new();
        for case in &cases {
            let Expected::Last(label) = &case.expected else { panic!("{} has labels for each turn", case.id) };
            *support.entry(label).or_default() += 1;
            assert!(label == NO_ROUTE_LABEL || policy.route(label).is_some(), "{}: {label} is no route", case.id);
        }
        for name in policy.routes.iter().map(|route| route.name.as_str()).chain([NO_ROUTE_LABEL]) {
            assert!(support.get(name).is_some_and(|&count| count >= 3), "{}: fewer than 3 cases for {name}", folder.display());
        }
        let ids: HashSet<&String> = cases.iter().map(|case| &case.id).collect();
        assert_eq!(ids.len(), cases.len(), "{}: an id stands twice", folder.display());
    }
}

#[test]
fn labels_for_each_turn_are_routes_too() {
    let mut seen = 0;
    for folder in folders() {
        let path = folder.join("labelled.turns.jsonl");
        if !path.exists() {
            continue;
        }
        let policy = policy(&folder);
        for case in cases(&path) {
            let Expected::PerTurn(labels) = &case.expected else { panic!("{} has one label", case.id) };
            assert_eq!(labels.len(), case.conversation.user_turns().count(), "{}", case.id);
            assert!(labels.iter().all(|label| label == NO_ROUTE_LABEL || policy.route(label).is_some()), "{}: {labels:?}", case.id);
            seen += 1;
        }
    }
    assert!(seen >= 8, "only {seen} conversations with a label for each turn");
}
