//! A byte-level BPE tokenizer with a few hundred merges, as `tokenizer.json` and as GGUF metadata.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tokenizers::Tokenizer;
use waypost::dialect::{DialectId, render};

use waypost::chat::Conversation;
use waypost::policy::Route;

/// Learned from the dialects' own texts, so that a prompt of a test has some hundred tokens and not some thousand.
const MERGES: usize = 260;

/// Merges that reach over the closing quote of a name: the hard cases of reading an answer's first name.
const ACROSS_QUOTES: [(&str, &str); 5] = [("\"", "]"), ("\"]", "}"), ("!", "\""), ("\"", ","), ("e", "x")];

pub const SPECIAL: [&str; 3] = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"];

/// Vocabulary and merges.
#[derive(Clone)]
pub struct TinyTokenizer {
    /// Spelled as GPT-2 does, special tokens last.
    pub tokens: Vec<String>,
    pub merges: Vec<(String, String)>,
    /// Rows of the embedding: as in Qwen2.5, more than there are tokens.
    pub vocab: usize,
    inner: Tokenizer,
}

impl Default for TinyTokenizer {
    fn default() -> Self {
        static LEARNED: std::sync::LazyLock<TinyTokenizer> = std::sync::LazyLock::new(TinyTokenizer::learn);
        LEARNED.clone()
    }
}

impl TinyTokenizer {
    fn learn() -> Self {
        let mut merges: Vec<(String, String)> = ACROSS_QUOTES.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        let mut words: Vec<Vec<String>> = words(&corpus());
        for (a, b) in &merges {
            words.iter_mut().for_each(|word| merge(word, a, b));
        }
        while merges.len() < MERGES {
            let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
            for pair in words.iter().flat_map(|word| word.windows(2)) {
                *counts.entry((&pair[0], &pair[1])).or_default() += 1;
            }
            let Some((a, b)) = counts.iter().max_by_key(|(_, count)| **count).map(|((a, b), _)| ((*a).to_owned(), (*b).to_owned())) else {
                break;
            };
            words.iter_mut().for_each(|word| merge(word, &a, &b));
            merges.push((a, b));
        }
        Self::of(merges)
    }

    /// Makes the tokenizer that has these merges.
    pub fn of(merges: Vec<(String, String)>) -> Self {
        let mut tokens: Vec<String> = (0..=255).map(|byte| byte_char(byte).to_string()).collect();
        tokens.extend(merges.iter().map(|(a, b)| format!("{a}{b}")));
        tokens.extend(SPECIAL.map(str::to_owned));
        let vocab = (tokens.len() + 1).next_multiple_of(8);
        let json = json(&tokens, &merges);
        let inner = Tokenizer::from_bytes(json.to_string()).unwrap();
        Self { tokens, merges, vocab, inner }
    }

    /// Returns `tokenizer.json` as transformers writes it for Qwen2.
    pub fn json(&self) -> Value {
        json(&self.tokens, &self.merges)
    }

    /// Returns the ids of a text as the `tokenizers` crate has them, straight from the file.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        self.inner.encode(text, false).unwrap().get_ids().to_vec()
    }

    /// Returns the text of ids, special tokens left out.
    pub fn decode(&self, ids: &[u32]) -> String {
        self.inner.decode(ids, true).unwrap()
    }

    /// Returns a text as it is after the tokenizer's own normalisation.
    pub fn normalised(&self, text: &str) -> String {
        self.inner.decode(&self.encode(text), false).unwrap()
    }

    /// Returns the id of a token by its spelling.
    pub fn id(&self, token: &str) -> u32 {
        self.inner.token_to_id(token).unwrap_or_else(|| panic!("no token {token}"))
    }

    pub fn im_end(&self) -> u32 {
        self.id("<|im_end|>")
    }
}

fn json(tokens: &[String], merges: &[(String, String)]) -> Value {
    let learned = tokens.len() - SPECIAL.len();
    let vocab: serde_json::Map<String, Value> = tokens[..learned].iter().zip(0..).map(|(token, id)| (token.clone(), json!(id))).collect();
    let special = |(token, id): (&String, usize)| json!({"id": id, "content": token, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true});
    let added: Vec<Value> = tokens[learned..].iter().zip(learned..).map(special).collect();
    let merges: Vec<String> = merges.iter().map(|(a, b)| format!("{a} {b}")).collect();
    let pattern = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    let byte_level = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false});
    let split = json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false});
    json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added, "normalizer": {"type": "NFC"},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, byte_level]}, "post_processor": byte_level, "decoder": byte_level,
        "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": "", "end_of_word_suffix": "",
            "fuse_unk": false, "byte_fallback": false, "vocab": vocab, "merges": merges},
    })
}

/// The text that merges are learned from: every dialect's prompt for a small policy.
fn corpus() -> String {
    let routes =
        [Route::new("code_generation", "Write new code or functions"), Route::new("bug_fixing", "Find and fix errors in the user's code")];
    let routes: Vec<&Route> = routes.iter().collect();
    let conversation = Conversation::from_prompt("Write a function that sorts a list of numbers");
    let prompts: Vec<String> = DialectId::ALL.iter().map(|dialect| render(*dialect, &routes, &conversation, None).text).collect();
    prompts.join("\n") + "<|im_start|>system\nYou are a helpful assistant.\nuser\nassistant\n"
}

/// Cuts a text roughly as Qwen2's pattern does, spelled in GPT-2's characters. Where it cuts elsewhere, a merge is learned that never applies.
fn words(text: &str) -> Vec<Vec<String>> {
    let kind = |c: char| {
        if c.is_alphabetic() {
            0
        } else if c.is_whitespace() {
            1
        } else {
            2
        }
    };
    let mut words: Vec<String> = Vec::new();
    let mut last = None;
    for character in text.chars() {
        let continues = last.is_some_and(|last: char| kind(last) == kind(character) || (last == ' ' && kind(character) != 1));
        match words.last_mut() {
            Some(word) if continues => word.push(character),
            _ => words.push(character.to_string()),
        }
        last = Some(character);
    }
    words.iter().map(|word| word.bytes().map(|byte| byte_char(byte).to_string()).collect()).collect()
}

fn merge(word: &mut Vec<String>, a: &str, b: &str) {
    let mut at = 0;
    while at + 1 < word.len() {
        if word[at] == a && word[at + 1] == b {
            let second = word.remove(at + 1);
            word[at].push_str(&second);
        }
        at += 1;
    }
}

/// GPT-2's `bytes_to_unicode`.
pub fn byte_char(byte: u8) -> char {
    let printable = |byte: u8| matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
    if printable(byte) {
        return char::from(byte);
    }
    char::from_u32(0x100 + (0..byte).filter(|other| !printable(*other)).count() as u32).unwrap()
}
