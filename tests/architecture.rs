//! The layers of the design, read from the sources: what points upward or sideways fails here, by file and line.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Modules of the library from the bottom up, what each may name of the others, and the crates that it may name.
const LAYERS: [(&str, &[&str], &[&str]); 11] = [
    ("policy", &[], DOMAIN_CRATES),
    ("chat", &["policy"], DOMAIN_CRATES),
    ("decision", &["policy", "chat"], DOMAIN_CRATES),
    ("dialect", DOMAIN, TEXT_CRATES),
    ("formats", &["policy", "chat", "decision", "dialect", "eval"], TEXT_CRATES),
    ("eval", &["policy", "chat", "decision", "dialect"], TEXT_CRATES),
    ("engine", &["policy", "chat", "decision", "dialect", "formats", "eval"], ENGINE_CRATES),
    ("app", &["policy", "chat", "decision", "dialect", "formats", "eval", "engine"], APP_CRATES),
    ("cli", &["policy", "chat", "decision", "dialect", "formats", "eval", "engine", "app"], CLI_CRATES),
    ("ui", &["policy", "chat", "decision", "dialect", "formats", "eval", "app"], UI_CRATES),
    ("main", &["cli", "ui"], &[]),
];

const DOMAIN: &[&str] = &["policy", "chat", "decision"];
const DOMAIN_CRATES: &[&str] = &["serde", "thiserror"];
const TEXT_CRATES: &[&str] = &["serde", "thiserror", "serde_json", "saphyr_parser", "sha2", "csv", "similar"];
const ENGINE_CRATES: &[&str] = &[
    "serde",
    "thiserror",
    "serde_json",
    "crossbeam_channel",
    "rayon",
    "half",
    "pulp",
    "sha2",
    "candle_core",
    "candle_nn",
    "tokenizers",
    "hf_hub",
    "reqwest",
    "tokio",
    "futures_util",
    "fastrand",
    "keyring",
    "sha1",
    "sysinfo",
    "gemm",
    "safetensors",
    "memmap2",
    "minijinja",
    "minijinja_contrib",
    "rustix",
];
/// egui for the table of shortcuts alone, see [`EGUI_IN_APP`].
const APP_CRATES: &[&str] = &["serde", "serde_json", "tempfile", "sha2", "similar", "egui", "dirs", "humantime"];
const CLI_CRATES: &[&str] = &["serde", "thiserror", "serde_json", "tempfile", "clap", "indicatif", "ctrlc"];
const UI_CRATES: &[&str] = &["thiserror", "egui", "egui_extras", "egui_plot", "eframe", "rfd"];

/// What `app` may name of egui: keys, no drawing.
const EGUI_IN_APP: &[&str] = &["Key", "KeyboardShortcut", "Modifiers"];

/// When a file grows longer, two things live in it.
const LONGEST: usize = 400;

/// A source file with comments and texts blanked out, so that only code is searched.
struct Source {
    path: PathBuf,
    /// Which module of the library it belongs to.
    module: String,
    whole: String,
    code: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    collect(&root, &mut paths);
    assert!(paths.len() > 20, "only {} sources under {}", paths.len(), root.display());
    let source = |path: PathBuf| {
        let whole = std::fs::read_to_string(&path).unwrap();
        let path = path.strip_prefix(&root).unwrap().to_owned();
        let first = path.components().next().unwrap().as_os_str().to_str().unwrap();
        let module = first.strip_suffix(".rs").unwrap_or(first).to_owned();
        Source { code: blank(&whole), path, module, whole }
    };
    paths.into_iter().map(source).collect()
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, paths);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            paths.push(path);
        }
    }
}

/// Replaces comments, texts and characters by spaces; line feeds stay, so that lines keep their numbers.
fn blank(source: &str) -> String {
    let bytes = source.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let previous_is_name = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
        let end = if rest.starts_with(b"//") {
            rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len())
        } else if rest.starts_with(b"/*") {
            find(rest, b"*/", 2)
        } else if let Some(hashes) = raw_text(rest).filter(|_| !previous_is_name) {
            let close = [&b"\""[..], &vec![b'#'; hashes]].concat();
            find(rest, &close, hashes + 2)
        } else if rest[0] == b'"' {
            quoted(rest, b'"')
        } else if rest[0] == b'\'' && is_character(rest) {
            quoted(rest, b'\'')
        } else {
            at += 1;
            continue;
        };
        out[at..at + end].iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
        at += end;
    }
    String::from_utf8(out).unwrap()
}

/// Returns the number of hashes where a raw text begins.
fn raw_text(rest: &[u8]) -> Option<usize> {
    let rest = rest.strip_prefix(b"b").unwrap_or(rest).strip_prefix(b"r")?;
    let hashes = rest.iter().take_while(|&&byte| byte == b'#').count();
    (rest.get(hashes) == Some(&b'"')).then_some(hashes)
}

fn find(rest: &[u8], close: &[u8], from: usize) -> usize {
    rest[from..].windows(close.len()).position(|window| window == close).map_or(rest.len(), |found| from + found + close.len())
}

fn quoted(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != quote {
        at += if rest[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(rest.len())
}

/// Tells `'a'` from the lifetime `'a`.
fn is_character(rest: &[u8]) -> bool {
    let text = std::str::from_utf8(&rest[1..rest.len().min(8)])
        .unwrap_or_else(|error| std::str::from_utf8(&rest[1..1 + error.valid_up_to()]).unwrap_or_default());
    let mut characters = text.chars();
    characters.next() == Some('\\') || characters.next() == Some('\'')
}

/// Yields the paths `a::b::c` of a text of code with their line, groups of `use` taken apart.
fn paths(code: &str) -> Vec<(usize, Vec<String>)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("::") {
        // Only where a path begins: what stands before is no path itself.
        let before = &code[..at];
        let start = before.rfind(|c: char| !(c.is_alphanumeric() || c == '_')).map_or(0, |last| last + 1);
        let first = &before[start..];
        if first.is_empty() || before[..start].ends_with("::") {
            continue;
        }
        let line = before.matches('\n').count() + 1;
        follow(&code[at + 2..], &mut vec![first.to_owned()], line, &mut found);
    }
    found
}

fn follow(rest: &str, so_far: &mut Vec<String>, line: usize, found: &mut Vec<(usize, Vec<String>)>) {
    if let Some(group) = rest.strip_prefix('{') {
        let mut depth = 0_usize;
        let mut start = 0;
        for (at, character) in group.char_indices() {
            match character {
                '{' => depth += 1,
                '}' if depth > 0 => depth -= 1,
                ',' | '}' if depth == 0 => {
                    let line = line + group[..start].matches('\n').count();
                    follow(group[start..at].trim(), so_far, line, found);
                    start = at + 1;
                    if character == '}' {
                        return;
                    }
                }
                _ => {}
            }
        }
        return;
    }
    let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
    so_far.push(rest[..end].to_owned());
    match rest[end..].strip_prefix("::") {
        Some(more) => follow(more, so_far, line, found),
        None => found.push((line, so_far.clone())),
    }
    so_far.pop();
}

/// Returns the crates of Cargo.toml as sources name them.
fn crates() -> BTreeSet<String> {
    let manifest = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
    let sections = manifest.split("\n[").filter_map(|section| section.split_once("]\n"));
    // Also those of one system alone: `target.'cfg(…)'.dependencies`.
    let named = sections.filter(|(header, _)| header.ends_with("dependencies") && !header.ends_with("dev-dependencies"));
    let names = named.flat_map(|(_, lines)| lines.lines()).filter_map(|line| line.split_once(" ="));
    names.map(|(name, _)| name.replace('-', "_")).collect()
}

#[test]
fn dependencies_are_read_from_every_section_but_that_of_the_tests() {
    let crates = crates();
    for (name, is_one) in [("egui", true), ("candle_core", true), ("rustix", true), ("proptest", false), ("cuda", false)] {
        assert_eq!(crates.contains(name), is_one, "{name}");
    }
}

#[test]
fn modules_name_only_what_lies_below_them() {
    let crates = crates();
    let modules: BTreeMap<&str, (&[&str], &[&str])> = LAYERS.iter().map(|(name, below, crates)| (*name, (*below, *crates))).collect();
    let (mut wrong, mut named) = (Vec::new(), BTreeMap::<&[&str], BTreeSet<String>>::new());
    for source in sources().iter().filter(|source| source.module != "lib") {
        let Some(&(below, allowed)) = modules.get(source.module.as_str()) else {
            wrong.push(format!("{}: the module {} is in no layer; put it into LAYERS", source.path.display(), source.module));
            continue;
        };
        for (line, path) in paths(&source.code) {
            let place = format!("src/{}:{line}", source.path.display());
            let (first, second) = (path[0].as_str(), path.get(1).map_or("", String::as_str));
            let inside = matches!(first, "crate" | "waypost");
            if inside && modules.contains_key(second) && second != source.module && !below.contains(&second) {
                wrong.push(format!("{place}: {} names {second}, but may name only {below:?}", source.module));
            }
            if crates.contains(first) {
                named.entry(allowed).or_default().insert(first.to_owned());
            }
            if crates.contains(first) && !allowed.contains(&first) {
                wrong.push(format!("{place}: {} names the crate {first}, but may name only {allowed:?}", source.module));
            }
            if source.module == "app" && first == "egui" && !EGUI_IN_APP.contains(&second) {
                wrong.push(format!("{place}: app takes {second} from egui, but may take only {EGUI_IN_APP:?}"));
            }
        }
    }
    // Modules that share a list have one layer's crates between them.
    for (_, _, allowed) in LAYERS {
        let is_idle = |name: &&&str| !named.get(allowed).is_some_and(|named| named.contains(**name));
        wrong.extend(
            allowed.iter().filter(is_idle).map(|name| format!("the crate {name} may be named and is not; take it out of {allowed:?}")),
        );
    }
    assert!(wrong.is_empty(), "the layers of the design do not hold:\n{}", wrong.join("\n"));
}

/// What changes files, as code spells it.
const WRITES: [&str; 10] = [
    "fs::write",
    "File::create",
    "OpenOptions",
    "fs::rename",
    "fs::copy",
    "fs::remove_",
    "create_dir",
    "hard_link",
    "fs::symlink",
    "NamedTempFile",
];
/// Downloads lie in the cache of Hugging Face's tools, which is no file of the user's.
const DOWNLOADS: &str = "engine/hub_fetch.rs";

#[test]
fn files_are_written_by_app_and_cli_alone() {
    let mut wrong = Vec::new();
    for source in sources() {
        if matches!(source.module.as_str(), "app" | "cli") || source.path == Path::new(DOWNLOADS) {
            continue;
        }
        for (word, at) in WRITES.iter().flat_map(|word| source.code.match_indices(word).map(move |(at, _)| (word, at))) {
            let line = source.code[..at].matches('\n').count() + 1;
            wrong.push(format!("src/{}:{line}: {word}", source.path.display()));
        }
    }
    assert!(wrong.is_empty(), "files are written where only app, cli and {DOWNLOADS} may:\n{}", wrong.join("\n"));
}

#[test]
fn no_modules_name_each_other_in_a_circle() {
    let mut names: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for source in sources().iter().filter(|source| source.module != "lib") {
        let named = names.entry(source.module.clone()).or_default();
        let inside = paths(&source.code).into_iter().filter(|(_, path)| matches!(path[0].as_str(), "crate" | "waypost"));
        named.extend(inside.filter_map(|(_, path)| path.get(1).cloned()).filter(|other| *other != source.module));
    }
    // What names nothing that is left can be taken away; a circle stays.
    while let Some(free) =
        names.iter().find(|(_, named)| named.iter().all(|other| !names.contains_key(other))).map(|(name, _)| name.clone())
    {
        names.remove(&free);
    }
    assert!(names.is_empty(), "these modules name each other in a circle: {names:#?}");
}

#[test]
fn every_file_says_what_it_is_for() {
    let silent: Vec<String> =
        sources().iter().filter(|source| !source.whole.starts_with("//! ")).map(|source| source.path.display().to_string()).collect();
    assert!(silent.is_empty(), "these files do not begin with a `//!` that says what they are for: {silent:#?}");
}

#[test]
fn no_file_is_too_long() {
    let long = |source: &Source| {
        let lines = source.whole.lines().count();
        (lines > LONGEST)
            .then(|| format!("{}: {lines} lines, {LONGEST} are allowed; see whether two things live in it", source.path.display()))
    };
    let long: Vec<String> = sources().iter().filter_map(long).collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
}

/// The reader above, on what it must tell apart.
#[test]
fn names_are_found_in_code_alone() {
    let code = "use crate::engine::{load, sub::{a, b}};\n// crate::ui::x\nlet text = \"crate::cli::y\"; let quote = '\"'; f(candle_core::Tensor::<f32>::new());\nlet raw = r#\"crate::app::z \"quoted\" \"#; fn x<'a>(y: &'a str) { serde::z() }";
    let found: Vec<String> = paths(&blank(code)).into_iter().map(|(line, path)| format!("{line} {}", path.join("::"))).collect();
    assert_eq!(
        found,
        [
            "1 crate::engine::load",
            "1 crate::engine::sub::a",
            "1 crate::engine::sub::b",
            "1 sub::a",
            "1 sub::b",
            "3 candle_core::Tensor::",
            "4 serde::z"
        ]
    );
}
