//! What a Qwen2 network's tensors are called by Hugging Face and by llama.cpp.

const HF_TO_GGUF: [(&str, &str); 9] = [
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

/// Returns llama.cpp's names of all tensors of a network of `layers` layers.
pub fn gguf_names(layers: usize) -> impl Iterator<Item = String> {
    let parts = HF_TO_GGUF.iter().flat_map(|(_, part)| ["weight", "bias"].map(|kind| format!("{part}.{kind}")));
    let parts: Vec<String> = parts.collect();
    let blocks = (0..layers).flat_map(move |layer| parts.clone().into_iter().map(move |part| format!("blk.{layer}.{part}")));
    ["token_embd.weight", "output_norm.weight", "output.weight"].into_iter().map(str::to_owned).chain(blocks)
}

/// Turns Hugging Face's name of a tensor into llama.cpp's.
pub fn gguf_name(name: &str) -> String {
    match name {
        "model.embed_tokens.weight" => "token_embd.weight".to_owned(),
        "model.norm.weight" => "output_norm.weight".to_owned(),
        "lm_head.weight" => "output.weight".to_owned(),
        _ => {
            let mut renamed = name.replace("model.layers.", "blk.");
            for (from, to) in HF_TO_GGUF {
                renamed = renamed.replace(from, to);
            }
            renamed
        }
    }
}
