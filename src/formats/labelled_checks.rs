//! What is odd about a labelled set, alone and beside a policy: with such cases a measurement runs, but may not mean what it seems to.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::chat::labelled::LabelledCase;
use crate::policy::{NO_ROUTE_LABEL, Policy};

use super::labelled_set::{CaseEntry, LabelledSet};
use super::tree::quoted;

/// What is odd.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FindingKind {
    /// A label is no route of the policy: no decision can agree with it.
    UnknownLabel,
    /// As [`Self::UnknownLabel`], and a route differs from it only by case or by spaces around it.
    LabelCase,
    /// A conversation stands in the set several times with different labels.
    Contradiction,
    /// Of a conversation no gateway sends anything to its router, which is asked about nothing.
    NothingSent,
    /// No case expects this route, so nothing is known about it.
    RouteWithoutCases,
    /// A conversation stands in the set several times.
    Duplicate,
    /// Conversations differ only by case, punctuation and spaces, or share nine tenths of their words.
    NearDuplicate,
}

/// One oddity. Displays as `set.jsonl:3, 7, 9 and 4 more: what is odd; what to do`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetFinding {
    pub kind: FindingKind,
    pub path: String,
    /// The lines on which the cases begin, in their order; none where a route has no cases.
    pub lines: Vec<usize>,
    pub message: String,
    pub remedy: String,
}

/// Lines that a finding's sentence names.
const SHOWN: usize = 8;

impl SetFinding {
    /// Returns whether the sentence names the first of the lines only.
    pub fn is_shortened(&self) -> bool {
        self.lines.len() > SHOWN
    }
}

impl fmt::Display for SetFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)?;
        let shown: Vec<String> = self.lines.iter().take(SHOWN).map(usize::to_string).collect();
        if !shown.is_empty() {
            write!(f, ":{}", shown.join(", "))?;
        }
        if self.is_shortened() {
            write!(f, " and {} more", self.lines.len() - SHOWN)?;
        }
        write!(f, ": {}; {}", self.message, self.remedy)
    }
}

impl LabelledSet {
    /// Returns whether measuring a policy on the set says anything about it: a label is one of its routes, or no label names a route of the
    /// policy's own. As quick for a large set as for a small one.
    pub fn concerns(&self, policy: &Policy) -> bool {
        self.routes.is_empty() || policy.routes.iter().any(|route| self.routes.contains(route.name.as_str()))
    }

    /// Returns what is odd about the set beside a policy, the most serious first.
    pub fn findings(&self, policy: &Policy) -> Vec<SetFinding> {
        let finding = |kind, lines, message, remedy| SetFinding { kind, path: self.label().to_owned(), lines, message, remedy };
        let mut unknown: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        let mut supported: HashMap<&str, usize> = HashMap::new();
        for case in self.cases().iter().filter(|case| !case.own_routes) {
            for label in case.labels.iter() {
                *supported.entry(label).or_default() += 1;
                if **label != *NO_ROUTE_LABEL && policy.route(label).is_none() {
                    let lines = unknown.entry(label).or_default();
                    if lines.last() != Some(&case.place.line) {
                        lines.push(case.place.line);
                    }
                }
            }
        }
        let mut findings = Vec::new();
        for (label, lines) in unknown {
            let names = policy.routes.iter().map(|route| route.name.as_str()).chain([NO_ROUTE_LABEL]);
            let alike = names.into_iter().find(|name| name.trim().to_lowercase() == label.trim().to_lowercase());
            findings.push(match alike {
                Some(name) => finding(
                    FindingKind::LabelCase,
                    lines,
                    format!("the label {} differs from the route {} only by case or spaces", quoted(label), quoted(name)),
                    "gateways tell them apart; write both alike".to_owned(),
                ),
                None => finding(
                    FindingKind::UnknownLabel,
                    lines,
                    format!("the label {} is no route of the policy, so no decision can agree with it", quoted(label)),
                    format!("correct it, add the route, or use {NO_ROUTE_LABEL:?} when none fits"),
                ),
            });
        }
        for (cases, exact) in self.alike() {
            let lines: Vec<usize> = cases.iter().map(|case| self.cases()[*case].place.line).collect();
            let count = cases.len();
            let agree = agree(&cases.iter().map(|case| &self.cases()[*case]).collect::<Vec<_>>());
            let (kind, message, remedy) = match (exact, agree) {
                (true, true) => {
                    (FindingKind::Duplicate, format!("the same conversation appears {count} times"), "keep one of them: each counts")
                }
                (true, false) => (
                    FindingKind::Contradiction,
                    format!("the same conversation appears {count} times with different labels"),
                    "decide which label is right: no decision agrees with all of them",
                ),
                (false, true) => (
                    FindingKind::NearDuplicate,
                    format!("{count} conversations are nearly the same"),
                    "keep one of them unless you mean all",
                ),
                (false, false) => (
                    FindingKind::NearDuplicate,
                    format!("{count} conversations are nearly the same but have different labels"),
                    "check their labels",
                ),
            };
            findings.push(finding(kind, lines, message, remedy.to_owned()));
        }
        if !self.silent.is_empty() {
            let message = "nothing of these conversations reaches a router: no message of the user or the assistant has a text";
            let remedy = "write what is said as text, or take the cases out";
            findings.push(finding(FindingKind::NothingSent, self.silent.clone(), message.to_owned(), remedy.to_owned()));
        }
        // Where cases bring their own routes, the policy's need none.
        if self.cases().iter().any(|case| !case.own_routes) {
            for route in policy.routes.iter().filter(|route| !supported.contains_key(route.name.as_str())) {
                let message = format!("no case expects the route {}", quoted(&route.name));
                findings.push(finding(
                    FindingKind::RouteWithoutCases,
                    Vec::new(),
                    message,
                    "add cases for it: nothing is known about it".to_owned(),
                ));
            }
        }
        findings.sort_by_key(|finding| finding.kind);
        findings
    }

    /// Joins the pairs that are the same, and those that are nearly so: of many copies of a conversation there is one thing to say.
    fn alike(&self) -> Vec<(Vec<usize>, bool)> {
        let mut groups: Vec<(Vec<usize>, bool)> = Vec::new();
        let mut known: HashMap<(usize, bool), usize> = HashMap::new();
        for &Duplicate { first, second, exact } in &self.duplicates {
            let group = *known.entry((first, exact)).or_insert_with(|| {
                groups.push((vec![first], exact));
                groups.len() - 1
            });
            groups[group].0.push(second);
            // What is nearly the same as the first of a pair may be found by the second.
            known.insert((second, exact), group);
        }
        groups
    }
}

/// Returns whether decisions can agree with all of these cases of one conversation: where some have a label for each user message and others
/// one, that is the label of the last message.
fn agree(cases: &[&CaseEntry]) -> bool {
    let expect_same = |a: &CaseEntry, b: &CaseEntry| {
        if a.per_turn == b.per_turn { a.labels == b.labels } else { a.labels.last() == b.labels.last() }
    };
    // Cases with one label agree with two that have several, also where these contradict each other.
    let first_per_turn = cases.iter().find(|case| case.per_turn);
    let mut known = cases.first().into_iter().chain(first_per_turn);
    known.all(|known| cases.iter().all(|case| expect_same(known, case)))
}

/// Two cases, by their positions, that are the same or nearly so.
#[derive(Clone, Copy, Debug)]
pub(super) struct Duplicate {
    pub first: usize,
    pub second: usize,
    pub exact: bool,
}

/// Finds duplicates while a set is read. Short texts are near-duplicates only when their words are the same: "a flight to Rome" and "a flight
/// to Oslo" are two cases. Long ones are compared by MinHash over runs of three words.
#[derive(Default)]
pub(super) struct Duplicates {
    exact: HashMap<u64, u32>,
    words: HashMap<u64, u32>,
    bands: HashMap<(u8, u64), u32>,
    signatures: HashMap<u32, [u32; HASHES]>,
    found: Vec<Duplicate>,
}

const HASHES: usize = 32;
/// Hashes that must be equal for a pair to be looked at.
const ROWS: usize = 4;
/// Of [`HASHES`]: an estimated overlap of nine tenths.
const ALIKE: usize = 29;
const LONG: usize = 20;

impl Duplicates {
    pub fn add(&mut self, case: usize, read: &LabelledCase) {
        let Ok(position) = u32::try_from(case) else { return };
        let (mut exact, mut loose) = (DefaultHasher::new(), DefaultHasher::new());
        let mut words = Vec::new();
        for message in &read.conversation.messages {
            let text = message.text();
            (message.role, &text).hash(&mut exact);
            message.role.hash(&mut loose);
            for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
                let word = hash(&word.to_lowercase());
                word.hash(&mut loose);
                words.push(word);
            }
        }
        // The same question to other routes is another case.
        for route in read.routes.iter().flatten() {
            (&route.name, &route.description).hash(&mut exact);
            (&route.name, &route.description).hash(&mut loose);
        }
        let (exact, loose) = (exact.finish(), loose.finish());
        let same = self.exact.get(&exact).map(|&first| (first, true));
        // A text without any word, such as one in emoji, is like no other.
        let alike = same.or_else(|| self.words.get(&loose).filter(|_| !words.is_empty()).map(|&first| (first, false)));
        self.exact.entry(exact).or_insert(position);
        self.words.entry(loose).or_insert(position);
        let alike = match alike {
            None if words.len() >= LONG => {
                self.alike(position, &words, hash(&read.routes.iter().flatten().map(|route| &route.name).collect::<Vec<_>>()))
            }
            alike => alike,
        };
        if let Some((first, exact)) = alike {
            self.found.push(Duplicate { first: first as usize, second: case, exact });
        }
    }

    fn alike(&mut self, position: u32, words: &[u64], salt: u64) -> Option<(u32, bool)> {
        let mut signature = [u32::MAX; HASHES];
        for run in words.windows(3) {
            let shingle = hash(&(salt, run));
            for (index, least) in signature.iter_mut().enumerate() {
                // Multiply-shift hashing: one odd factor for each function.
                let factor = (index as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
                *least = (*least).min((shingle.wrapping_mul(factor) >> 32) as u32);
            }
        }
        let mut found = None;
        for (band, rows) in signature.chunks(ROWS).enumerate() {
            let first = *self.bands.entry((band as u8, hash(&rows))).or_insert(position);
            let equal = |other: &[u32; HASHES]| signature.iter().zip(other).filter(|(a, b)| a == b).count();
            if first != position && found.is_none() && self.signatures.get(&first).is_some_and(|other| equal(other) >= ALIKE) {
                found = Some((first, false));
            }
        }
        self.signatures.insert(position, signature);
        found
    }

    pub fn found(self) -> Vec<Duplicate> {
        self.found
    }
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
