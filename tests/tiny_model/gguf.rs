//! A writer of GGUF files that also writes damaged ones: every number of the header can be set apart from what it describes.

use std::path::Path;

use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};
use waypost::engine::RouterSource;

use super::tokenizer::SPECIAL;
use super::{EPS, TEMPLATE, THETA, TinyModel, Weight};

/// A value of the metadata: its type's number and its bytes.
#[derive(Clone)]
pub struct Meta {
    pub kind: u32,
    pub bytes: Vec<u8>,
}

impl Meta {
    pub fn u32(value: u32) -> Self {
        Self { kind: 4, bytes: value.to_le_bytes().to_vec() }
    }

    pub fn f32(value: f32) -> Self {
        Self { kind: 6, bytes: value.to_le_bytes().to_vec() }
    }

    pub fn flag(value: bool) -> Self {
        Self { kind: 7, bytes: vec![u8::from(value)] }
    }

    pub fn text(value: &str) -> Self {
        Self { kind: 8, bytes: text(value) }
    }

    /// Returns a list of `count` values of the type `kind`, which lie in `bytes`.
    pub fn list(kind: u32, count: u64, bytes: &[u8]) -> Self {
        Self { kind: 9, bytes: [&kind.to_le_bytes()[..], &count.to_le_bytes(), bytes].concat() }
    }

    pub fn texts<'a>(values: impl ExactSizeIterator<Item = &'a str>) -> Self {
        let count = values.len() as u64;
        Self::list(8, count, &values.flat_map(text).collect::<Vec<u8>>())
    }
}

fn text(value: &str) -> Vec<u8> {
    [&(value.len() as u64).to_le_bytes()[..], value.as_bytes()].concat()
}

/// One tensor as the header describes it, and its data.
#[derive(Clone)]
pub struct GgufTensor {
    pub name: String,
    /// Columns first, as the file has it.
    pub dims: Vec<u64>,
    pub kind: u32,
    pub data: Vec<u8>,
    /// Where the header says the data lies, if not where it is.
    pub claimed_offset: Option<u64>,
}

/// A file in parts.
#[derive(Clone)]
pub struct GgufFile {
    pub version: u32,
    pub metadata: Vec<(String, Meta)>,
    pub tensors: Vec<GgufTensor>,
    /// What the header says instead of the true number.
    pub claimed_tensors: Option<u64>,
    pub claimed_pairs: Option<u64>,
}

impl GgufFile {
    /// Returns the metadata of this key.
    pub fn set(&mut self, key: &str, value: Meta) {
        self.metadata.retain(|(known, _)| known != key);
        self.metadata.push((key.to_owned(), value));
    }

    pub fn remove(&mut self, key: &str) {
        let before = self.metadata.len();
        self.metadata.retain(|(known, _)| known != key);
        assert!(self.metadata.len() < before, "no metadata {key}");
    }

    pub fn tensor(&mut self, name: &str) -> &mut GgufTensor {
        self.tensors.iter_mut().find(|tensor| tensor.name == name).unwrap_or_else(|| panic!("no tensor {name}"))
    }

    /// Returns the header up to where the data starts.
    pub fn header(&self) -> Vec<u8> {
        let mut out = b"GGUF".to_vec();
        out.extend(self.version.to_le_bytes());
        out.extend(self.claimed_tensors.unwrap_or(self.tensors.len() as u64).to_le_bytes());
        out.extend(self.claimed_pairs.unwrap_or(self.metadata.len() as u64).to_le_bytes());
        for (key, value) in &self.metadata {
            out.extend(text(key));
            out.extend(value.kind.to_le_bytes());
            out.extend(&value.bytes);
        }
        let mut offset = 0_u64;
        for tensor in &self.tensors {
            out.extend(text(&tensor.name));
            out.extend((tensor.dims.len() as u32).to_le_bytes());
            tensor.dims.iter().for_each(|dim| out.extend(dim.to_le_bytes()));
            out.extend(tensor.kind.to_le_bytes());
            out.extend(tensor.claimed_offset.unwrap_or(offset).to_le_bytes());
            offset += tensor.data.len().next_multiple_of(32) as u64;
        }
        out.resize(out.len().next_multiple_of(32), 0);
        out
    }

    /// Returns the whole file.
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = self.header();
        for tensor in &self.tensors {
            out.extend(&tensor.data);
            out.resize(out.len().next_multiple_of(32), 0);
        }
        out
    }

    /// Writes the file and returns the way to load it.
    pub fn write(&self, path: &Path) -> RouterSource {
        std::fs::write(path, self.bytes()).unwrap();
        RouterSource::Gguf(path.to_owned())
    }
}

impl TinyModel {
    /// Returns the network as a GGUF file with matrices of this type, and the network that the numbers in the file stand for.
    pub fn gguf(&self, dtype: GgmlDType) -> (GgufFile, Self) {
        let mut held = self.clone();
        // llama.cpp knows these by their spelling.
        held.ends = vec![self.tokenizer.id("<|endoftext|>"), self.tokenizer.im_end()];
        let tensors = held
            .weights
            .iter_mut()
            .map(|weight| {
                // llama.cpp leaves norms and biases in f32.
                let dtype = if weight.shape.len() == 1 { GgmlDType::F32 } else { dtype };
                let tensor = Tensor::from_slice(&weight.values, weight.shape.as_slice(), &Device::Cpu).unwrap();
                let quantised = QTensor::quantize(&tensor, dtype).unwrap();
                weight.values = quantised.dequantize(&Device::Cpu).unwrap().flatten_all().unwrap().to_vec1().unwrap();
                let dims = weight.shape.iter().rev().map(|&dim| dim as u64).collect();
                GgufTensor {
                    name: name(weight),
                    dims,
                    kind: kind(dtype),
                    data: quantised.data().unwrap().into_owned(),
                    claimed_offset: None,
                }
            })
            .collect();
        (GgufFile { version: 3, metadata: self.metadata(), tensors, claimed_tensors: None, claimed_pairs: None }, held)
    }

    fn metadata(&self) -> Vec<(String, Meta)> {
        let (shape, tokenizer) = (self.shape, &self.tokenizer);
        let padding: Vec<String> = (tokenizer.tokens.len()..tokenizer.vocab).map(|id| format!("[PAD{id}]")).collect();
        let learned = tokenizer.tokens.len() - SPECIAL.len();
        // Normal, control and unused tokens in `enum llama_token_type`.
        let kind = |id: usize| {
            if id < learned {
                1_i32
            } else if id < tokenizer.tokens.len() {
                3
            } else {
                5
            }
        };
        let kinds: Vec<u8> = (0..tokenizer.vocab).flat_map(|id| kind(id).to_le_bytes()).collect();
        let tokens: Vec<&str> = tokenizer.tokens.iter().chain(&padding).map(String::as_str).collect();
        let merges: Vec<String> = tokenizer.merges.iter().map(|(a, b)| format!("{a} {b}")).collect();
        let number = |value: usize| Meta::u32(value as u32);
        let pairs = [
            ("general.architecture", Meta::text("qwen2")),
            ("qwen2.block_count", number(shape.layers)),
            ("qwen2.context_length", number(shape.context)),
            ("qwen2.embedding_length", number(shape.hidden)),
            ("qwen2.feed_forward_length", number(shape.intermediate)),
            ("qwen2.attention.head_count", number(shape.heads)),
            ("qwen2.attention.head_count_kv", number(shape.kv_heads)),
            ("qwen2.attention.layer_norm_rms_epsilon", Meta::f32(EPS as f32)),
            ("qwen2.rope.freq_base", Meta::f32(THETA as f32)),
            ("tokenizer.ggml.model", Meta::text("gpt2")),
            ("tokenizer.ggml.pre", Meta::text("qwen2")),
            ("tokenizer.ggml.tokens", Meta::texts(tokens.iter().copied())),
            ("tokenizer.ggml.merges", Meta::texts(merges.iter().map(String::as_str))),
            ("tokenizer.ggml.token_type", Meta::list(5, tokenizer.vocab as u64, &kinds)),
            ("tokenizer.ggml.eos_token_id", Meta::u32(tokenizer.im_end())),
            ("tokenizer.chat_template", Meta::text(TEMPLATE)),
        ];
        pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    }
}

/// llama.cpp's name of a tensor.
fn name(weight: &Weight) -> String {
    let fixed = [("model.embed_tokens", "token_embd"), ("model.norm", "output_norm"), ("lm_head", "output"), ("model.layers", "blk")];
    let parts = [
        ("input_layernorm", "attn_norm"),
        ("post_attention_layernorm", "ffn_norm"),
        ("self_attn.q_proj", "attn_q"),
        ("self_attn.k_proj", "attn_k"),
        ("self_attn.v_proj", "attn_v"),
        ("self_attn.o_proj", "attn_output"),
        ("mlp.gate_proj", "ffn_gate"),
        ("mlp.up_proj", "ffn_up"),
        ("mlp.down_proj", "ffn_down"),
    ];
    fixed.into_iter().chain(parts).fold(weight.name.clone(), |name, (from, to)| name.replace(from, to))
}

/// Numbers of `enum ggml_type`.
fn kind(dtype: GgmlDType) -> u32 {
    match dtype {
        GgmlDType::F32 => 0,
        GgmlDType::F16 => 1,
        GgmlDType::Q4_0 => 2,
        GgmlDType::Q4_1 => 3,
        GgmlDType::Q5_0 => 6,
        GgmlDType::Q5_1 => 7,
        GgmlDType::Q8_0 => 8,
        GgmlDType::Q2K => 10,
        GgmlDType::Q3K => 11,
        GgmlDType::Q4K => 12,
        GgmlDType::Q5K => 13,
        GgmlDType::Q6K => 14,
        GgmlDType::BF16 => 30,
        other => panic!("{other:?} is in no router's file"),
    }
}
