//! What the dependencies may be used under, and what NOTICE must say of them.

use std::iter::Peekable;
use std::path::Path;
use std::process::Command;
use std::str::SplitWhitespace;

use serde_json::Value;

/// Licences that ask for no more than their notice, or for the source of the one crate that is under them. One more is a decision, and
/// a line in NOTICE.
const LICENCES: [&str; 12] = [
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MPL-2.0",
    "OFL-1.1",
    "Ubuntu-font-1.0",
    "Unicode-3.0",
    "Zlib",
];

/// Those of them whose crates NOTICE names one by one.
const NAMED: [&str; 4] = ["CDLA-Permissive-2.0", "MPL-2.0", "OFL-1.1", "Ubuntu-font-1.0"];

type Words<'a> = Peekable<SplitWhitespace<'a>>;

/// Returns whether an SPDX expression leaves a way to use a work under listed licences alone.
fn is_allowed(expression: &str) -> bool {
    // The slash is how crates spelled a choice before SPDX.
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let mut words = spaced.split_whitespace().peekable();
    any_of(&mut words) && words.next().is_none()
}

fn any_of(words: &mut Words<'_>) -> bool {
    let mut is_allowed = all_of(words);
    while words.next_if_eq(&"OR").is_some() {
        is_allowed |= all_of(words);
    }
    is_allowed
}

fn all_of(words: &mut Words<'_>) -> bool {
    let mut is_allowed = one(words);
    while words.next_if_eq(&"AND").is_some() {
        is_allowed &= one(words);
    }
    is_allowed
}

fn one(words: &mut Words<'_>) -> bool {
    match words.next() {
        Some("(") => {
            let is_allowed = any_of(words);
            words.next() == Some(")") && is_allowed
        }
        Some(licence) => {
            // An exception takes nothing away from what the licence allows.
            if words.next_if_eq(&"WITH").is_some() {
                words.next();
            }
            LICENCES.contains(&licence)
        }
        None => false,
    }
}

#[test]
fn expressions_are_read_as_spdx_means_them() {
    let cases = [
        ("MIT", true),
        ("GPL-2.0-only", false),
        ("MIT OR GPL-2.0-only", true),
        ("GPL-2.0-only/MIT", true),
        ("GPL-2.0-only / LGPL-2.1-or-later", false),
        ("MIT AND GPL-2.0-only", false),
        ("MIT OR GPL-2.0-only AND LGPL-2.1-or-later", true),
        ("(MIT OR GPL-2.0-only) AND LGPL-2.1-or-later", false),
        ("(MIT OR Apache-2.0) AND Unicode-3.0", true),
        ("Apache-2.0 WITH LLVM-exception AND MIT", true),
        ("GPL-3.0-only WITH GCC-exception-3.1 OR ISC", true),
        ("GPL-3.0-only WITH GCC-exception-3.1", false),
        ("(MIT", false),
        ("", false),
    ];
    for (expression, expected) in cases {
        assert_eq!(is_allowed(expression), expected, "{expression}");
    }
}

/// Returns what cargo knows of this package and its dependencies, without the network.
fn metadata() -> Value {
    let ask = |more: &[&str]| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["metadata", "--offline", "--format-version", "1"]).args(more).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap()
    };
    let mut output = ask(&[]);
    if !output.status.success() {
        eprintln!("left out: licences of crates for other systems, which were not downloaded here");
        let version = Command::new(env!("CARGO")).arg("-vV").output().unwrap();
        let version = String::from_utf8(version.stdout).unwrap();
        let host = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
        output = ask(&["--filter-platform", host]);
    }
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn dependencies_are_under_known_licences_and_notice_names_the_unusual_ones() {
    let metadata = metadata();
    let notice = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("NOTICE")).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let (mut wrong, mut count) = (Vec::new(), 0);
    // This package has no source: it is here.
    for package in packages.iter().filter(|package| !package["source"].is_null()) {
        let (name, version) = (package["name"].as_str().unwrap(), package["version"].as_str().unwrap());
        let licence = package["license"].as_str().unwrap_or_default();
        count += 1;
        if !is_allowed(licence) {
            wrong.push(format!("{name} {version} is under {licence:?}, of which not enough is in LICENCES"));
        }
        if NAMED.iter().any(|named| licence.contains(named)) && !notice.contains(name) {
            wrong.push(format!("{name} {version} is under {licence}, and NOTICE does not name it"));
        }
    }
    assert!(count > 200, "only {count} dependencies");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
