//! Text to token ids and back, as the router's own tokenizer has it: `tokenizer.json` or the vocabulary inside a GGUF file.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::normalizers::unicode::NFC;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{AddedToken, SplitDelimiterBehavior, Tokenizer};

use super::EngineError;
use super::gguf::Gguf;

/// How Qwen2 cuts text before merging (`tokenizer.json` of Qwen2.5; llama.cpp calls it `qwen2`).
const QWEN2_PATTERN: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// How llama.cpp cuts text for a file that names no way, or `default` (llama-vocab.cpp).
const LLAMA_CPP_DEFAULT: [&str; 4] =
    [r"[\p{P}\$\+<=>\^~\|]+", r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)", r"\p{N}+", r"[0-9][0-9][0-9]"];

/// `enum llama_token_type`: control tokens are special, user-defined ones are matched whole but decode as text.
const CONTROL: i64 = 3;
const USER_DEFINED: i64 = 4;

/// Spellings of tokens at which llama.cpp ends a turn, whatever the file says of them (`special_eog_ids` in llama-vocab.cpp): those that chat
/// models end with.
pub const LLAMA_CPP_ENDS: [&str; 10] = [
    "<|im_end|>",
    "<|endoftext|>",
    "<|end|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|end_of_text|>",
    "<end_of_turn>",
    "<end_of_utterance>",
    "<EOT>",
    "[EOT]",
];

/// A router's tokenizer.
pub struct RouterTokenizer {
    inner: Tokenizer,
    /// Tokens that the network knows: ids are below it.
    vocab: usize,
    /// For messages.
    path: String,
    /// What every prompt begins with.
    bos: Option<u32>,
    /// The vocabulary ordered by spelling, made when it is first asked for: a quarter of a million texts take a while.
    sorted: OnceLock<Vec<(String, u32)>>,
}

impl RouterTokenizer {
    /// Reads the `tokenizer.json` of a Qwen2 model whose network knows `vocab` tokens; `path` is for messages.
    ///
    /// transformers 5 gives every model whose `config.json` says `qwen2` its own `Qwen2Tokenizer`: vocabulary and merges from the file, but
    /// always Qwen2's normaliser and way of cutting text. Servers built on it therefore send these ids, whatever the file says.
    ///
    /// # Errors
    /// Fails on a damaged file, and on one with more tokens than the network.
    pub fn from_json(path: &str, json: &[u8], vocab: usize) -> Result<Self, EngineError> {
        let damaged = |error: tokenizers::Error| EngineError::router(format!("{path}: {error}; download the file again"));
        let mut inner = Tokenizer::from_bytes(json).map_err(damaged)?;
        cut_as_qwen2(&mut inner).map_err(damaged)?;
        // As transformers calls it: a prompt is sent whole, whatever length the file was once trained with.
        inner.with_truncation(None).map_err(damaged)?.with_padding(None);
        inner.with_decoder(Some(ByteLevel::new(false, true, true)));
        Self::new(path, inner, vocab)
    }

    /// Builds the tokenizer that a GGUF file describes, for a network that knows `vocab` tokens.
    ///
    /// # Errors
    /// Fails on vocabularies that are no byte-level BPE, or larger than the network's, on ways of cutting text that are not known here, and where
    /// prompts are to begin with a token that is not named.
    pub fn from_gguf(path: &str, gguf: &Gguf, vocab: usize) -> Result<Self, EngineError> {
        let missing = |key: &str| {
            EngineError::router(format!("{path}: the metadata has no {key}; the file carries no tokenizer, use another conversion"))
        };
        let model = gguf.string("tokenizer.ggml.model").ok_or_else(|| missing("tokenizer.ggml.model"))?;
        if model != "gpt2" {
            return Err(EngineError::router(format!(
                "{path}: the tokenizer is of the kind {model}, but Qwen2 routers have byte-level BPE (gpt2)"
            )));
        }
        let tokens = gguf.strings("tokenizer.ggml.tokens").ok_or_else(|| missing("tokenizer.ggml.tokens"))?;
        let merges = gguf.strings("tokenizer.ggml.merges").ok_or_else(|| missing("tokenizer.ggml.merges"))?;
        let damaged = |error: &dyn std::fmt::Display| {
            EngineError::router(format!("{path}: the tokenizer is damaged: {error}; download the file again"))
        };
        let known: Vocab = tokens.iter().zip(0..).map(|(token, id)| (token.clone(), id)).collect();
        let merges: Vec<(String, String)> =
            merges.iter().filter_map(|merge| merge.split_once(' ')).map(|(a, b)| (a.to_owned(), b.to_owned())).collect();
        let bpe = BPE::builder().vocab_and_merges(known, merges).build().map_err(|error| damaged(&error))?;
        let mut inner = Tokenizer::new(bpe);
        match gguf.string("tokenizer.ggml.pre").unwrap_or("default") {
            // No normaliser: llama.cpp cuts the text as it is.
            "qwen2" => {
                inner.with_pre_tokenizer(Some(cut_by(&[QWEN2_PATTERN]).map_err(|error| damaged(&error))?));
            }
            "smollm" => {
                let parts: Vec<PreTokenizerWrapper> = vec![Digits::new(true).into(), ByteLevel::new(false, true, true).into()];
                inner.with_pre_tokenizer(Some(Sequence::new(parts)));
            }
            "default" => {
                inner.with_pre_tokenizer(Some(cut_by(&LLAMA_CPP_DEFAULT).map_err(|error| damaged(&error))?));
            }
            "gpt-2" | "gpt2" => {
                inner.with_pre_tokenizer(Some(ByteLevel::new(false, true, true)));
            }
            other => {
                return Err(EngineError::router(format!(
                    "{path}: the way {other} of cutting text into tokens is not known; use a qwen2 router"
                )));
            }
        }
        inner.with_decoder(Some(ByteLevel::new(false, true, true)));
        let types = gguf.numbers("tokenizer.ggml.token_type").unwrap_or_default();
        let of_type = |kind: i64| tokens.iter().zip(types).filter(move |(_, found)| **found == kind).map(|(token, _)| token.clone());
        let special: Vec<AddedToken> = of_type(CONTROL).map(|token| AddedToken::from(token, true).normalized(false)).collect();
        let whole: Vec<AddedToken> = of_type(USER_DEFINED).map(|token| AddedToken::from(token, false).normalized(false)).collect();
        inner.add_special_tokens(special).map_err(|error| damaged(&error))?;
        inner.add_tokens(whole).map_err(|error| damaged(&error))?;
        let mut tokenizer = Self::new(path, inner, vocab)?;
        if gguf.flag("tokenizer.ggml.add_bos_token") == Some(true) {
            let bos = gguf.unsigned("tokenizer.ggml.bos_token_id").and_then(|id| u32::try_from(id).ok());
            tokenizer.bos = bos.filter(|&id| (id as usize) < vocab);
            if tokenizer.bos.is_none() {
                return Err(EngineError::router(format!(
                    "{path}: tokenizer.ggml.add_bos_token is true, but tokenizer.ggml.bos_token_id names no token; use another conversion of the router"
                )));
            }
        }
        Ok(tokenizer)
    }

    /// Added tokens may lie outside the network, as some fine-tuned routers have it: only a prompt that uses one is refused.
    fn new(path: &str, inner: Tokenizer, vocab: usize) -> Result<Self, EngineError> {
        let highest = inner.get_vocab(false).into_values().max();
        if highest.is_none_or(|highest| highest as usize >= vocab) {
            let found = highest.map_or(0, |highest| u64::from(highest) + 1);
            return Err(EngineError::router(format!(
                "{path}: the tokenizer has {found} tokens where the network knows {vocab}; files of different models are mixed"
            )));
        }
        Ok(Self { inner, vocab, path: path.to_owned(), bos: None, sorted: OnceLock::new() })
    }

    /// Returns the ids of `text`. Special tokens spelled out in it are recognised, as in every server that tokenises a rendered template.
    ///
    /// # Errors
    /// Fails where the tokenizer does, and on tokens that the network does not know.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, EngineError> {
        let encoding = self.inner.encode_fast(text, false).map_err(|error| EngineError::Internal(format!("tokenising: {error}")))?;
        match encoding.get_ids().iter().find(|&&id| id as usize >= self.vocab) {
            None => Ok(encoding.get_ids().to_vec()),
            // The other prompts of a set may have none of these tokens.
            Some(&id) => Err(EngineError::request(format!(
                "{}: the prompt contains {:?}, which is token {id}, but the network knows {} tokens; files of different models are mixed",
                self.path,
                self.piece(id),
                self.vocab
            ))),
        }
    }

    /// Returns the ids of a whole prompt: those of [`Self::encode`] behind the beginning-of-text token, where the file asks for one and the
    /// template has written none. So does llama.cpp's server.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn encode_prompt(&self, text: &str) -> Result<Vec<u32>, EngineError> {
        let mut ids = self.encode(text)?;
        if let Some(bos) = self.bos
            && ids.first() != Some(&bos)
        {
            ids.insert(0, bos);
        }
        Ok(ids)
    }

    /// Returns the text of `ids`, special tokens left out. Bytes that are no UTF-8 become replacement characters.
    ///
    /// # Errors
    /// Fails where the tokenizer does.
    pub fn decode(&self, ids: &[u32]) -> Result<String, EngineError> {
        self.inner.decode(ids, true).map_err(|error| EngineError::Internal(format!("detokenising: {error}")))
    }

    /// Returns the id of a token by its exact spelling.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// Returns the tokens that end a turn, each once: `ids` and the tokens that are `spelled` so, as far as the network knows them, or where
    /// there are none what Qwen2 models end with. `remedy` is what the user can do where there is no such token either.
    ///
    /// # Errors
    /// Fails where no token is left.
    pub fn ends_of_turn(&self, ids: &[u32], spelled: &[&str], remedy: &str) -> Result<Vec<u32>, EngineError> {
        let known = |ids: &[u32], spelled: &[&str]| -> BTreeSet<u32> {
            let spelled = spelled.iter().filter_map(|token| self.id(token));
            ids.iter().copied().chain(spelled).filter(|&id| (id as usize) < self.vocab).collect()
        };
        let mut ends = known(ids, spelled);
        if ends.is_empty() {
            ends = known(&[], &["<|im_end|>", "<|endoftext|>"]);
        }
        if ends.is_empty() {
            return Err(EngineError::router(format!("{}: no end-of-turn token is known; {remedy}", self.path)));
        }
        Ok(ends.into_iter().collect())
    }

    /// Returns the spelling of a token: a character for each byte, as GPT-2's `bytes_to_unicode` has it; empty for unknown ids.
    pub fn piece(&self, id: u32) -> String {
        self.inner.id_to_token(id).unwrap_or_default()
    }

    /// Returns the tokens whose spelling starts with `start`.
    pub fn pieces_starting_with(&self, start: &str) -> Vec<u32> {
        let sorted = self.sorted.get_or_init(|| {
            let mut sorted: Vec<(String, u32)> = self.inner.get_vocab(false).into_iter().collect();
            sorted.sort_unstable();
            sorted
        });
        let first = sorted.partition_point(|(piece, _)| piece.as_str() < start);
        sorted[first..].iter().take_while(|(piece, _)| piece.starts_with(start)).map(|(_, id)| *id).collect()
    }
}

fn cut_as_qwen2(tokenizer: &mut Tokenizer) -> Result<(), tokenizers::Error> {
    tokenizer.with_normalizer(Some(NFC))?;
    tokenizer.with_pre_tokenizer(Some(cut_by(&[QWEN2_PATTERN])?));
    Ok(())
}

/// Cuts text by one pattern after the other, each inside the pieces of those before it.
fn cut_by(patterns: &[&str]) -> Result<Sequence, tokenizers::Error> {
    let split = |pattern: &&str| Split::new(SplitPattern::Regex((*pattern).to_owned()), SplitDelimiterBehavior::Isolated, false);
    let mut parts = Vec::new();
    for pattern in patterns {
        parts.push(PreTokenizerWrapper::from(split(pattern)?));
    }
    parts.push(ByteLevel::new(false, false, false).into());
    Ok(Sequence::new(parts))
}
