//! The shape of a Qwen2 network, from `config.json` or GGUF metadata, checked before anything is allocated for it.

use serde::Deserialize;
use serde_json::Value;

use super::EngineError;
use super::gguf::Gguf;

/// The output head, as Hugging Face calls it.
pub const HEAD: &str = "lm_head.weight";

/// The numbers that describe a Qwen2 network.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    pub vocab: usize,
    pub hidden: usize,
    /// Width of the feed-forward part.
    pub intermediate: usize,
    pub layers: usize,
    pub heads: usize,
    /// Key and value heads; each serves `heads / kv_heads` query heads.
    pub kv_heads: usize,
    pub head_dim: usize,
    pub rope_theta: f64,
    pub rms_norm_eps: f64,
    /// Tokens the network can read at once.
    pub context: usize,
    /// Ids that end the router's turn, as the files say: some may lie outside the vocabulary.
    pub end_tokens: Vec<u32>,
    /// Whether the embedding serves as output head where the files hold no other.
    pub tied: bool,
}

/// `config.json` as far as it matters here. Unlike candle's own, `sliding_window` may be `null`.
#[derive(Deserialize)]
struct ConfigJson {
    model_type: Option<String>,
    vocab_size: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    rope_theta: Option<f64>,
    rope_scaling: Option<Value>,
    /// Where transformers 5 writes base and scaling.
    rope_parameters: Option<RopeJson>,
    rms_norm_eps: f64,
    max_position_embeddings: usize,
    hidden_act: Option<String>,
    #[serde(default)]
    use_sliding_window: bool,
    eos_token_id: Option<Value>,
    tie_word_embeddings: Option<bool>,
    quantization_config: Option<Value>,
}

#[derive(Deserialize)]
struct RopeJson {
    rope_type: Option<String>,
    rope_theta: Option<f64>,
}

/// `generation_config.json`: servers end the turn at any of its end tokens.
#[derive(Deserialize)]
struct GenerationJson {
    eos_token_id: Option<Value>,
}

impl ModelConfig {
    /// Reads `config.json` and, where there is one, `generation_config.json`; `path` is for messages.
    ///
    /// # Errors
    /// Fails on bad JSON, another architecture, a variant this network does not compute, and impossible numbers.
    pub fn from_json(path: &str, config: &[u8], generation: Option<&[u8]>) -> Result<Self, EngineError> {
        let json: ConfigJson = serde_json::from_slice(config)
            .map_err(|error| EngineError::router(format!("{path}: {error}; is this a model's config.json?")))?;
        let architecture = json.model_type.as_deref().unwrap_or("(none)");
        if architecture != "qwen2" {
            return Err(unknown_architecture(path, architecture));
        }
        if let Some(quantised) = json.quantization_config.filter(|quantised| !quantised.is_null()) {
            let method = quantised.get("quant_method").and_then(Value::as_str).unwrap_or("quantization_config says");
            return Err(EngineError::router(format!(
                "{path}: the weights are quantised as {method}, which Waypost does not read; use the bf16 weights or a .gguf file of the router (where they are not quantised, take quantization_config out of the file)"
            )));
        }
        let rope = json.rope_parameters.as_ref();
        let scaled = rope.and_then(|rope| rope.rope_type.as_deref()).is_some_and(|kind| kind != "default");
        if json.use_sliding_window || scaled || json.rope_scaling.as_ref().is_some_and(|scaling| !scaling.is_null()) {
            return Err(scaled_rotation(path));
        }
        if json.hidden_act.as_deref().is_some_and(|act| act != "silu") {
            return Err(EngineError::router(format!("{path}: hidden_act must be \"silu\", as Qwen2 has it")));
        }
        let from_generation =
            generation.and_then(|json| serde_json::from_slice::<GenerationJson>(json).ok()).and_then(|json| json.eos_token_id);
        let end_tokens = from_generation.or(json.eos_token_id).map(|ids| token_ids(&ids)).unwrap_or_default();
        let config = Self {
            vocab: json.vocab_size,
            hidden: json.hidden_size,
            intermediate: json.intermediate_size,
            layers: json.num_hidden_layers,
            heads: json.num_attention_heads,
            kv_heads: json.num_key_value_heads.unwrap_or(json.num_attention_heads),
            head_dim: json.head_dim.unwrap_or(json.hidden_size / json.num_attention_heads.max(1)),
            rope_theta: json.rope_theta.or(rope.and_then(|rope| rope.rope_theta)).unwrap_or(10_000.0),
            rms_norm_eps: json.rms_norm_eps,
            context: json.max_position_embeddings,
            end_tokens,
            // As transformers' Qwen2Config has it.
            tied: json.tie_word_embeddings.unwrap_or(false),
        };
        config.checked(path)
    }

    /// Refuses a router in whose files the output head is missing; `folder` is for messages.
    ///
    /// # Errors
    /// Fails where the files have no head of their own and `config.json` does not say that the embedding serves for it.
    pub fn check_head(&self, folder: &str, has_head: bool) -> Result<(), EngineError> {
        if self.tied || has_head {
            return Ok(());
        }
        Err(EngineError::router(format!(
            "{folder}: the tensor {HEAD} is missing, and config.json does not say that the embedding serves for it (tie_word_embeddings); the download is incomplete"
        )))
    }

    /// Reads the metadata of a GGUF file.
    ///
    /// # Errors
    /// Fails on another architecture, missing metadata and impossible numbers.
    pub fn from_gguf(path: &str, gguf: &Gguf) -> Result<Self, EngineError> {
        let architecture = gguf.string("general.architecture").unwrap_or("(none)");
        if architecture != "qwen2" {
            return Err(unknown_architecture(path, architecture));
        }
        if gguf.string("qwen2.rope.scaling.type").is_some_and(|kind| kind != "none") {
            return Err(scaled_rotation(path));
        }
        let number = |key: &str| {
            gguf.unsigned(key).and_then(|value| usize::try_from(value).ok()).ok_or_else(|| {
                EngineError::router(format!("{path}: the metadata has no {key}; download the file again or convert the model again"))
            })
        };
        let float = |key: &str| gguf.float(key);
        let (hidden, heads) = (number("qwen2.embedding_length")?, number("qwen2.attention.head_count")?);
        let end_tokens = ["tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"]
            .into_iter()
            .filter_map(|key| gguf.unsigned(key).and_then(|id| u32::try_from(id).ok()))
            .collect();
        let vocab = gguf
            .tensor("token_embd.weight")
            .and_then(|tensor| tensor.shape.first().copied())
            .ok_or_else(|| EngineError::router(format!("{path}: the tensor token_embd.weight is missing; download the file again")))?;
        let config = Self {
            vocab,
            hidden,
            intermediate: number("qwen2.feed_forward_length")?,
            layers: number("qwen2.block_count")?,
            heads,
            kv_heads: number("qwen2.attention.head_count_kv").unwrap_or(heads),
            head_dim: number("qwen2.attention.key_length").unwrap_or(hidden / heads.max(1)),
            rope_theta: float("qwen2.rope.freq_base").unwrap_or(10_000.0),
            rms_norm_eps: float("qwen2.attention.layer_norm_rms_epsilon").unwrap_or(1e-6),
            context: number("qwen2.context_length")?,
            end_tokens,
            tied: true,
        };
        config.checked(path)
    }

    /// Limits far above any router but low enough that products of them cannot overflow or exhaust memory by a claim alone.
    fn checked(self, path: &str) -> Result<Self, EngineError> {
        let limits = [
            ("vocabulary", self.vocab, 1 << 20),
            ("hidden size", self.hidden, 1 << 15),
            ("intermediate size", self.intermediate, 1 << 18),
            ("number of layers", self.layers, 512),
            ("number of heads", self.heads, 512),
            ("number of key heads", self.kv_heads, 512),
            ("head size", self.head_dim, 1024),
            ("context length", self.context, 1 << 22),
        ];
        for (what, value, limit) in limits {
            if value == 0 || value > limit {
                return Err(EngineError::router(format!(
                    "{path}: a {what} of {value} is impossible; the file is damaged or no router, download it again"
                )));
            }
        }
        if !self.heads.is_multiple_of(self.kv_heads) || !self.head_dim.is_multiple_of(2) {
            return Err(EngineError::router(format!(
                "{path}: {} heads over {} key heads of size {} do not fit together; the file is damaged, download it again",
                self.heads, self.kv_heads, self.head_dim
            )));
        }
        let sane = |x: f64| x.is_finite() && x > 0.0;
        if !sane(self.rope_theta) || !sane(self.rms_norm_eps) {
            return Err(EngineError::router(format!(
                "{path}: rope_theta and rms_norm_eps must be positive numbers; the file is damaged, download it again"
            )));
        }
        Ok(self)
    }
}

fn unknown_architecture(path: &str, found: &str) -> EngineError {
    EngineError::router(format!("{path}: the architecture is {found}, but Waypost runs qwen2 routers such as katanemo/Arch-Router-1.5B"))
}

fn scaled_rotation(path: &str) -> EngineError {
    EngineError::router(format!(
        "{path}: sliding windows and scaled rotary embeddings are not supported; use a router with plain Qwen2 attention"
    ))
}

/// `eos_token_id` is a number or a list of numbers.
fn token_ids(value: &Value) -> Vec<u32> {
    let one = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
    match value {
        Value::Array(ids) => ids.iter().filter_map(one).collect(),
        id => one(id).into_iter().collect(),
    }
}
