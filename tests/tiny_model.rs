//! Tiny random Qwen2 routers, written as the files that real ones come in, so that tests of the engine need no download.

pub mod gguf;
pub mod reference;
pub mod tokenizer;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use half::{bf16, f16};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::{Value, json};
use waypost::engine::{CancelToken, DeviceChoice, LocalRouter, Opened, RouterSource, candidates, load};

pub use reference::{Reference, close};
pub use tokenizer::TinyTokenizer;

/// Qwen's template as far as one user message goes; the default system message is its own.
pub const TEMPLATE: &str = "{%- for message in messages %}\n    {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}\n{%- endfor %}\n{%- if add_generation_prompt %}\n    {{- '<|im_start|>assistant\\n' }}\n{%- endif %}\n";

/// The numbers of a tiny network.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub hidden: usize,
    pub intermediate: usize,
    pub layers: usize,
    pub heads: usize,
    pub kv_heads: usize,
    /// Whether the embedding serves as the output head.
    pub tied: bool,
    pub context: usize,
}

impl Shape {
    /// Rows of 64: quantised types with blocks of 32 are turned into f32.
    pub const SMALL: Self = Self { hidden: 64, intermediate: 96, layers: 2, heads: 4, kv_heads: 2, tied: false, context: 4096 };
    /// Rows of 256 and 512: quantised types whose products are fast stay as they are; the others become f32, as in every small router.
    pub const WIDE: Self = Self { hidden: 256, intermediate: 512, layers: 1, heads: 4, kv_heads: 2, tied: false, context: 4096 };
}

/// How safetensors files store numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    F32,
    BF16,
    F16,
}

/// One tensor under its Hugging Face name.
#[derive(Clone)]
pub struct Weight {
    pub name: String,
    pub shape: Vec<usize>,
    pub values: Vec<f32>,
}

/// A network with its tokenizer.
#[derive(Clone)]
pub struct TinyModel {
    pub shape: Shape,
    pub tokenizer: TinyTokenizer,
    pub weights: Vec<Weight>,
    /// Tokens that end its turn.
    pub ends: Vec<u32>,
}

impl TinyModel {
    /// Draws all weights. Scales are chosen so that logits spread over several units and attention and feed-forward part both matter.
    pub fn random(shape: Shape, seed: u64) -> Self {
        let tokenizer = TinyTokenizer::default();
        let (hidden, wide) = (shape.hidden, shape.intermediate);
        let (inner, kv) = (1.0 / (hidden as f32).sqrt(), hidden / shape.heads * shape.kv_heads);
        let mut random = Random(seed);
        let mut weights = Vec::new();
        let mut add = |name: String, shape: &[usize], mean: f32, deviation: f32| {
            let values = (0..shape.iter().product()).map(|_| mean + deviation * random.normal()).collect();
            weights.push(Weight { name, shape: shape.to_vec(), values });
        };
        add("model.embed_tokens.weight".to_owned(), &[tokenizer.vocab, hidden], 0.0, if shape.tied { 2.0 * inner } else { 1.0 });
        for layer in 0..shape.layers {
            let name = |part: &str| format!("model.layers.{layer}.{part}");
            add(name("input_layernorm.weight"), &[hidden], 1.0, 0.2);
            for (part, out) in [("q", hidden), ("k", kv), ("v", kv)] {
                add(name(&format!("self_attn.{part}_proj.weight")), &[out, hidden], 0.0, 1.2 * inner);
                add(name(&format!("self_attn.{part}_proj.bias")), &[out], 0.0, 0.5);
            }
            add(name("self_attn.o_proj.weight"), &[hidden, hidden], 0.0, inner);
            add(name("post_attention_layernorm.weight"), &[hidden], 1.0, 0.2);
            add(name("mlp.gate_proj.weight"), &[wide, hidden], 0.0, inner);
            add(name("mlp.up_proj.weight"), &[wide, hidden], 0.0, inner);
            add(name("mlp.down_proj.weight"), &[hidden, wide], 0.0, 1.0 / (wide as f32).sqrt());
        }
        add("model.norm.weight".to_owned(), &[hidden], 1.0, 0.2);
        if !shape.tied {
            add("lm_head.weight".to_owned(), &[tokenizer.vocab, hidden], 0.0, 2.0 * inner);
        }
        let ends = vec![tokenizer.im_end()];
        Self { shape, tokenizer, weights, ends }
    }

    /// Makes each token of `text` likely after the one before it, from the end of the prompt to the end of the turn: a random network as such
    /// never writes a valid answer. The head's row of a token gets a part of the embedding of its predecessor. Needs a head of its own.
    pub fn teach(&mut self, text: &str, strength: f32) {
        let mut chain = self.tokenizer.encode("\n");
        chain.extend(self.tokenizer.encode(text));
        chain.push(self.tokenizer.im_end());
        let hidden = self.shape.hidden;
        let embedding = self.weight("model.embed_tokens.weight").values.clone();
        let head = &mut self.weight("lm_head.weight").values;
        for pair in chain.windows(2) {
            let (from, to) = (pair[0] as usize, pair[1] as usize);
            for (head, embedded) in head[to * hidden..][..hidden].iter_mut().zip(&embedding[from * hidden..]) {
                *head += strength * embedded / hidden as f32;
            }
        }
    }

    /// Returns the named tensor.
    pub fn weight(&mut self, name: &str) -> &mut Weight {
        self.weights.iter_mut().find(|weight| weight.name == name).unwrap_or_else(|| panic!("no weight {name}"))
    }

    /// Returns the weights as candle takes them.
    pub fn tensors(&self) -> HashMap<String, Tensor> {
        let tensor = |weight: &Weight| Tensor::from_slice(&weight.values, weight.shape.as_slice(), &Device::Cpu).unwrap();
        self.weights.iter().map(|weight| (weight.name.clone(), tensor(weight))).collect()
    }

    /// Returns the network that is left once a file of this precision has been written and read.
    pub fn rounded(mut self, storage: Storage) -> Self {
        for value in self.weights.iter_mut().flat_map(|weight| &mut weight.values) {
            *value = match storage {
                Storage::F32 => *value,
                Storage::BF16 => bf16::from_f32(*value).to_f32(),
                Storage::F16 => f16::from_f32(*value).to_f32(),
            };
        }
        self
    }

    /// Returns `config.json`, in the shape of newer transformers, which write `null` for a sliding window that is off.
    pub fn config(&self) -> Value {
        json!({
            "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "hidden_act": "silu",
            "vocab_size": self.tokenizer.vocab, "hidden_size": self.shape.hidden, "intermediate_size": self.shape.intermediate,
            "num_hidden_layers": self.shape.layers, "num_attention_heads": self.shape.heads, "num_key_value_heads": self.shape.kv_heads,
            "max_position_embeddings": self.shape.context, "rms_norm_eps": EPS, "rope_theta": THETA, "rope_scaling": null,
            "sliding_window": null, "use_sliding_window": false, "tie_word_embeddings": self.shape.tied,
            "bos_token_id": self.tokenizer.id("<|endoftext|>"), "eos_token_id": self.tokenizer.im_end(),
        })
    }

    /// Returns the files of a router's folder, the weights spread over `shards` files.
    pub fn files(&self, storage: Storage, shards: usize) -> Vec<(String, Vec<u8>)> {
        let tokenizer_config = json!({"chat_template": TEMPLATE, "bos_token": null, "eos_token": "<|im_end|>"});
        let mut files = vec![
            ("config.json".to_owned(), self.config().to_string().into_bytes()),
            ("tokenizer.json".to_owned(), self.tokenizer.json().to_string().into_bytes()),
            ("tokenizer_config.json".to_owned(), tokenizer_config.to_string().into_bytes()),
        ];
        for (index, weights) in self.weights.chunks(self.weights.len().div_ceil(shards)).enumerate() {
            let name =
                if shards == 1 { "model.safetensors".to_owned() } else { format!("model-{:05}-of-{shards:05}.safetensors", index + 1) };
            files.push((name, safetensors(weights, storage)));
        }
        files
    }

    /// Writes the folder and returns the way to load it.
    pub fn write(&self, folder: &Path, storage: Storage, shards: usize) -> RouterSource {
        write_files(folder, &self.files(storage, shards))
    }

    /// Writes an f32 folder into a temporary one and loads it.
    pub fn load(&self) -> LocalRouter {
        let folder = tempfile::tempdir().unwrap();
        open(&self.write(folder.path(), Storage::F32, 1))
    }
}

/// Unlike both of candle's defaults, so that a value that is not read shows.
pub const THETA: f64 = 50_000.0;
/// As [`THETA`].
pub const EPS: f64 = 1e-5;

/// Writes files into a folder that is made where it is missing.
pub fn write_files(folder: &Path, files: &[(String, Vec<u8>)]) -> RouterSource {
    std::fs::create_dir_all(folder).unwrap();
    for (name, bytes) in files {
        std::fs::write(folder.join(name), bytes).unwrap();
    }
    RouterSource::Folder(PathBuf::from(folder))
}

/// Loads a router that must load.
pub fn open(source: &RouterSource) -> LocalRouter {
    load(source, DeviceChoice::Cpu, &mut |_| {}, &CancelToken::default()).unwrap()
}

/// Returns a safetensors file with these tensors.
pub fn safetensors(weights: &[Weight], storage: Storage) -> Vec<u8> {
    let (dtype, bytes): (Dtype, Vec<Vec<u8>>) = match storage {
        Storage::F32 => (Dtype::F32, encode(weights, |value| value.to_le_bytes())),
        Storage::BF16 => (Dtype::BF16, encode(weights, |value| bf16::from_f32(value).to_le_bytes())),
        Storage::F16 => (Dtype::F16, encode(weights, |value| f16::from_f32(value).to_le_bytes())),
    };
    let views =
        weights.iter().zip(&bytes).map(|(weight, bytes)| (&weight.name, TensorView::new(dtype, weight.shape.clone(), bytes).unwrap()));
    safetensors::serialize(views, None).unwrap()
}

fn encode<const N: usize>(weights: &[Weight], number: impl Fn(f32) -> [u8; N]) -> Vec<Vec<u8>> {
    weights.iter().map(|weight| weight.values.iter().flat_map(|&value| number(value)).collect()).collect()
}

/// SplitMix64 with normal deviates: weights must be the same on every machine.
pub struct Random(pub u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Returns a number in `0..limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    /// Sum of four uniform numbers, scaled to variance 1: close enough to normal.
    fn normal(&mut self) -> f32 {
        let bits = self.next();
        let sum: f32 = (0..4).map(|part| ((bits >> (16 * part)) & 0xFFFF) as f32 / 65_536.0 - 0.5).sum();
        sum * 3.0_f32.sqrt()
    }
}

/// Returns the GPUs that this build can use on this machine.
pub fn gpus() -> Vec<Opened> {
    candidates(DeviceChoice::Auto).unwrap().devices.into_iter().filter(|opened| opened.name != "cpu").collect()
}
