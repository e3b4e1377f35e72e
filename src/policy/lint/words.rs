//! Words of names and descriptions, compared as loosely as the writing rules need.

use std::collections::HashMap;

/// Returns the words in lower case; `_`, `-` and the change from small to capital letters separate them too.
pub(super) fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut was_small = false;
    for c in text.chars() {
        if (!c.is_alphanumeric() || (was_small && c.is_uppercase())) && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if c.is_alphanumeric() {
            word.extend(c.to_lowercase());
        }
        was_small = c.is_lowercase();
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// Returns whether two words are likely forms of one: `fixing` and `fix`, `optimization` and `optimizing`.
pub(super) fn related(a: &str, b: &str) -> bool {
    const STEM: usize = 4;
    let shorter = a.chars().count().min(b.chars().count());
    let common = a.chars().zip(b.chars()).take_while(|(a, b)| a == b).count();
    shorter >= 3 && common >= STEM.min(shorter)
}

/// Returns the words that carry meaning.
pub(super) fn content(text: &str) -> Vec<String> {
    words(text).into_iter().filter(|word| word.len() > 2 && !FILLERS.contains(&word.as_str())).collect()
}

/// Returns for each text the first earlier one that is nearly the same: at least this share of the meaningful words of both are forms of a
/// word of the other. Pairs of positions, the earlier one first.
pub(super) fn alike<'t>(texts: impl Iterator<Item = &'t str>, share: f64) -> Vec<(usize, usize)> {
    // Texts by the words in them, so that only texts with a word in common are compared.
    let mut texts_with: HashMap<String, Vec<(usize, usize)>> = HashMap::new();
    let mut lengths = Vec::new();
    let mut alike = Vec::new();
    for (position, text) in texts.enumerate() {
        let mut counts: HashMap<String, usize> = HashMap::new();
        for word in content(text) {
            *counts.entry(stem(&word)).or_default() += 1;
        }
        let length: usize = counts.values().sum();
        let mut matched: HashMap<usize, usize> = HashMap::new();
        for (word, count) in &counts {
            for (earlier, of_earlier) in texts_with.get(word).into_iter().flatten() {
                *matched.entry(*earlier).or_default() += count + of_earlier;
            }
        }
        let same = |(earlier, matched): (usize, usize)| (matched as f64 >= share * (length + lengths[earlier]) as f64).then_some(earlier);
        alike.extend(matched.into_iter().filter_map(same).min().map(|earlier| (earlier, position)));
        counts.into_iter().for_each(|(word, count)| texts_with.entry(word).or_default().push((position, count)));
        lengths.push(length);
    }
    alike
}

/// As [`related`], but strict enough that long words with a common start stay apart.
fn stem(word: &str) -> String {
    let cut = ["ings", "ing", "ions", "ion", "ies", "ed", "es", "s", "e", "y"].iter().find_map(|end| word.strip_suffix(end));
    cut.filter(|stem| stem.len() >= 3).unwrap_or(word).to_owned()
}

/// Returns whether the text is mostly in ASCII letters: the word lists of the writing rules are English.
pub(super) fn is_english(text: &str) -> bool {
    let letters = text.chars().filter(|c| c.is_alphabetic()).count();
    let ascii = text.chars().filter(char::is_ascii_alphabetic).count();
    letters > 0 && ascii * 10 >= letters * 9
}

/// Words without a meaning of their own.
const FILLERS: [&str; 30] = [
    "the", "and", "for", "with", "from", "into", "that", "this", "these", "those", "are", "was", "can", "their", "its", "such", "based",
    "about", "more", "make", "using", "use", "all", "not", "but", "than", "which", "when", "where", "existing",
];

/// Words that match nearly everything.
pub(super) const VAGUE: [&str; 22] = [
    "anything",
    "everything",
    "something",
    "whatever",
    "general",
    "generic",
    "easy",
    "hard",
    "simple",
    "basic",
    "various",
    "etc",
    "related",
    "misc",
    "miscellaneous",
    "stuff",
    "things",
    "any",
    "normal",
    "standard",
    "random",
    "several",
];

/// Verbs that start an instruction. Left out: those that are as often nouns at the start of a description, such as `search` or `change`.
pub(super) const COMMANDS: [&str; 64] = [
    "write",
    "create",
    "generate",
    "fix",
    "debug",
    "explain",
    "help",
    "handle",
    "use",
    "route",
    "send",
    "provide",
    "analyze",
    "analyse",
    "summarize",
    "summarise",
    "translate",
    "build",
    "find",
    "understand",
    "identify",
    "solve",
    "give",
    "make",
    "produce",
    "compare",
    "edit",
    "convert",
    "extract",
    "classify",
    "detect",
    "select",
    "choose",
    "pick",
    "respond",
    "reply",
    "engage",
    "act",
    "teach",
    "guide",
    "condense",
    "brainstorm",
    "optimize",
    "optimise",
    "refactor",
    "implement",
    "improve",
    "describe",
    "discuss",
    "check",
    "verify",
    "calculate",
    "compute",
    "recommend",
    "suggest",
    "assist",
    "answer",
    "draft",
    "rewrite",
    "proofread",
    "plan",
    "review",
    "match",
    "do",
];

/// Words that speak to somebody.
pub(super) const ADDRESSING: [&str; 5] = ["you", "your", "yours", "yourself", "please"];

/// What is removed before a router is asked, as descriptions mention it.
pub(super) const UNSEEN: [&str; 16] = [
    "system prompt",
    "system message",
    "system instruction",
    "developer message",
    "tool call",
    "tool result",
    "tool output",
    "function call",
    "attached",
    "attachment",
    "uploaded",
    "screenshot",
    "in the image",
    "in the picture",
    "contains an image",
    "with an image",
];
