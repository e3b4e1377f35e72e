//! The examples for CI in the documentation: they are YAML, and this version understands every command in them.

use crate::program::waypost;

/// Returns every `waypost …` command of a YAML document, wherever it stands.
fn commands(yaml: &serde_yaml::Value) -> Vec<String> {
    match yaml {
        serde_yaml::Value::String(text) => text.lines().filter(|line| line.starts_with("waypost ")).map(str::to_owned).collect(),
        serde_yaml::Value::Sequence(items) => items.iter().flat_map(commands).collect(),
        serde_yaml::Value::Mapping(entries) => entries.values().flat_map(commands).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn every_command_of_the_examples_is_understood() {
    let folder = format!("{}/docs/examples", env!("CARGO_MANIFEST_DIR"));
    let mut all = Vec::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        all.extend(commands(&serde_yaml::from_str(&text).unwrap()));
    }
    assert!(all.len() >= 6, "{all:#?}");
    let empty = tempfile::tempdir().unwrap();
    for command in all {
        let arguments = command.split(" > ").next().unwrap().split_whitespace().skip(1);
        let output = waypost(empty.path()).args(arguments).current_dir(empty.path()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        // Past the arguments: the next thing that a command does is to read the policy, which is not here.
        assert!(said.contains("routing/policy.yaml: there is no such file"), "{command}: {said}");
    }
}
