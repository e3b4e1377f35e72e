#!/usr/bin/env python3
"""Writes a trained router in the form that Waypost ships: small files and quantised weights, at most 95 MB a file.

usage: export.py ROUTER_DIR OUT_DIR [--format gguf|bf16|f32] [--rule PATTERN=TYPE]... [--max-mb 95] [--temperature T]
       export.py --sizes ROUTER_DIR [--rule ...]         what each rule would give, nothing written

Rules are tried in order, the first whose regular expression is found in a tensor's GGUF name counts; vectors stay f32. Types: F16, BF16, Q8_0, Q5_1,
Q5_0, Q4_1, Q4_0 (all in blocks of 32, so rows of 576 are fine). The base model comes in Q4_1 (embeddings Q8_0), so layers and embeddings that were
frozen lose next to nothing there.
"""
import argparse
import glob
import json
import os
import re
import shutil
import sys

import gguf
import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
# SmolLM2-135M whole in one file of 94.5 MB; README.md has others.
RULES = ["=Q5_0"]
PARTS = {"input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm", "q_proj": "attn_q", "k_proj": "attn_k", "v_proj": "attn_v", "o_proj": "attn_output",
         "gate_proj": "ffn_gate", "up_proj": "ffn_up", "down_proj": "ffn_down"}
CONTROL, NORMAL, USER = 3, 1, 4


def gguf_name(name):
    if name == "model.embed_tokens.weight":
        return "token_embd.weight"
    if name == "model.norm.weight":
        return "output_norm.weight"
    parts = name.split(".")
    return f"blk.{parts[2]}.{PARTS[parts[-2]]}.{parts[-1]}"


def hf_name(name):
    if name == "token_embd.weight":
        return "model.embed_tokens.weight"
    if name == "output_norm.weight":
        return "model.norm.weight"
    _, layer, part, kind = name.split(".")
    part = {v: k for k, v in PARTS.items()}[part]
    group = "" if part.endswith("layernorm") else "self_attn." if part[0] in "qkvo" else "mlp."
    return f"model.layers.{layer}.{group}{part}.{kind}"


def read_gguf(paths):
    """The tensors of GGUF files in f32, by Hugging Face's names: for measuring what quantisation costs."""
    import torch
    out = {}
    for path in paths:
        for tensor in gguf.GGUFReader(path).tensors:
            out[hf_name(tensor.name)] = torch.from_numpy(np.array(gguf.quants.dequantize(tensor.data, tensor.tensor_type), dtype=np.float32))
    return out


def read_packed(folder):
    """The blocks that quantise.py left beside a router, by GGUF's names."""
    path = os.path.join(folder, "packed.safetensors")
    if not os.path.exists(path):
        return {}
    from safetensors.numpy import load_file
    return load_file(path)


def kind_of(name, shape, rules):
    if len(shape) == 1:
        return "F32"
    return next(kind for pattern, kind in rules if re.search(pattern, name))


def block_bytes(kind, shape):
    block, size = gguf.GGML_QUANT_SIZES[getattr(gguf.GGMLQuantizationType, kind)]
    return int(np.prod(shape)) // block * size


def tokenizer_fields(folder):
    import tok
    spec = tok.read_spec(folder)
    config = json.load(open(os.path.join(folder, "config.json")))
    vocab = dict(spec["model"]["vocab"])
    special = {}
    for added in spec["added_tokens"]:
        vocab[added["content"]] = added["id"]
        special[added["content"]] = CONTROL if added["special"] else USER
    by_id = {i: t for t, i in vocab.items()}
    tokens = [by_id.get(i, f"[PAD{i}]") for i in range(config["vocab_size"])]
    return tokens, [special.get(t, NORMAL) for t in tokens], [" ".join(m) for m in tok.merges_of(spec)]


def write_gguf(folder, out, weights, rules, limit, template):
    packed = read_packed(folder)
    config = json.load(open(os.path.join(folder, "config.json")))
    tokens, types, merges = tokenizer_fields(folder)
    named = [(gguf_name(name), np.asarray(value, np.float32)) for name, value in weights.items()]
    # Biases that training left at zero say nothing.
    named = [(name, value) for name, value in named if not (name.endswith(".bias") and not value.any())]
    kinds = {name: kind_of(name, value.shape, rules) for name, value in named}
    shards, size = [[]], 0
    for name, value in named:
        need = block_bytes(kinds[name], value.shape) + 64
        if size + need > limit - 2_200_000:
            shards.append([])
            size = 0
        shards[-1].append((name, value))
        size += need
    paths = []
    for number, tensors in enumerate(shards):
        path = os.path.join(out, "router.gguf" if len(shards) == 1 else f"router-{number + 1:05}-of-{len(shards):05}.gguf")
        w = gguf.GGUFWriter(path + ".new", "qwen2")
        if len(shards) > 1:
            w.add_uint16("split.no", number)
            w.add_uint16("split.count", len(shards))
            w.add_int32("split.tensors.count", len(named))
        if number == 0:
            w.add_name("Waypost built-in router")
            w.add_license("apache-2.0")
            w.add_block_count(config["num_hidden_layers"])
            w.add_context_length(config["max_position_embeddings"])
            w.add_embedding_length(config["hidden_size"])
            w.add_feed_forward_length(config["intermediate_size"])
            w.add_head_count(config["num_attention_heads"])
            w.add_head_count_kv(config["num_key_value_heads"])
            w.add_rope_freq_base(config.get("rope_theta") or config["rope_parameters"]["rope_theta"])
            w.add_layer_norm_rms_eps(config["rms_norm_eps"])
            w.add_tokenizer_model("gpt2")
            # As trained: Qwen2's way of cutting text.
            w.add_tokenizer_pre("qwen2")
            w.add_token_list(tokens)
            w.add_token_types(types)
            w.add_token_merges(merges)
            w.add_bos_token_id(config["bos_token_id"])
            w.add_eos_token_id(config["eos_token_id"])
            w.add_add_bos_token(False)
            w.add_chat_template(template)
        for name, value in tensors:
            value, kind = np.ascontiguousarray(value), getattr(gguf.GGMLQuantizationType, kinds[name])
            if kinds[name] == "F32":
                w.add_tensor(name, value)
            elif kinds[name] == "Q5_0" and name in packed:
                # A folder that was made out of a rounded one may have other weights.
                assert np.array_equal(gguf.quants.dequantize(packed[name], kind), value), f"packed.safetensors is of other weights: {name}"
                w.add_tensor(name, packed[name], raw_dtype=kind)
            else:
                w.add_tensor(name, gguf.quants.quantize(value, kind), raw_dtype=kind)
        w.write_header_to_file()
        w.write_kv_data_to_file()
        w.write_tensors_to_file()
        w.close()
        os.replace(path + ".new", path)
        paths.append(path)
    return paths


def small_files(folder, out, temperature):
    config = json.load(open(os.path.join(folder, "config.json")))
    json.dump(config, open(os.path.join(out, "config.json"), "w"), indent=2)
    import tok
    spec = tok.read_spec(folder)
    # What transformers 5 and Waypost use for qwen2 in any case, said in the file too, for other readers.
    spec["normalizer"] = {"type": "NFC"}
    spec["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [
        {"type": "Split", "pattern": {"Regex": tok.QWEN2}, "behavior": "Isolated", "invert": False},
        {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}]}
    json.dump(spec, open(os.path.join(out, "tokenizer.json"), "w", encoding="utf8"), ensure_ascii=False, separators=(",", ":"))
    template = open(os.path.join(HERE, "chat_template.jinja"), encoding="utf8").read()
    json.dump({"tokenizer_class": "Qwen2Tokenizer", "bos_token": "<|im_start|>", "eos_token": "<|im_end|>", "pad_token": "<|im_end|>",
               "model_max_length": config["max_position_embeddings"], "clean_up_tokenization_spaces": False}, open(os.path.join(out, "tokenizer_config.json"), "w"), indent=2)
    shutil.copy(os.path.join(HERE, "chat_template.jinja"), out)
    json.dump({"do_sample": False, "eos_token_id": config["eos_token_id"]}, open(os.path.join(out, "generation_config.json"), "w"), indent=2)
    json.dump({"temperature": temperature}, open(os.path.join(out, "router.json"), "w"))
    return template


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("router")
    parser.add_argument("out", nargs="?")
    parser.add_argument("--format", choices=("gguf", "bf16", "f32"), default="gguf")
    parser.add_argument("--rule", action="append", help=f"default: {' '.join(RULES)}")
    parser.add_argument("--max-mb", type=float, default=95)
    parser.add_argument("--temperature", type=float, default=1.0, help="of the shown probabilities, from evaluate.py")
    parser.add_argument("--sizes", action="store_true")
    args = parser.parse_args(argv)
    import model as network
    weights = {name: value.float() for name, value in network.read_weights(args.router).items()}
    rules = [tuple(rule.rsplit("=", 1)) for rule in args.rule or RULES]
    if args.sizes:
        total = 0
        for name, value in weights.items():
            total += block_bytes(kind_of(gguf_name(name), value.shape, rules), value.shape)
        print(f"{total / 1e6:.1f} MB of weights")
        return
    os.makedirs(args.out, exist_ok=True)
    for old in glob.glob(os.path.join(args.out, "*.gguf")) + glob.glob(os.path.join(args.out, "*.safetensors")):
        os.remove(old)
    template = small_files(args.router, args.out, args.temperature)
    if args.format == "gguf":
        write_gguf(args.router, args.out, {k: v.numpy() for k, v in weights.items()}, rules, int(args.max_mb * 1e6), template)
    else:
        import torch
        from safetensors.torch import save_file
        dtype = torch.bfloat16 if args.format == "bf16" else torch.float32
        save_file({k: v.to(dtype).contiguous() for k, v in weights.items()}, os.path.join(args.out, "model.safetensors"), metadata={"format": "pt"})
    total = 0
    for name in sorted(os.listdir(args.out)):
        size = os.path.getsize(os.path.join(args.out, name))
        total += size
        print(f"{size / 1e6:9.2f} MB  {name}")
    print(f"{total / 1e6:9.2f} MB in total{'' if total <= 110e6 else ': too much, 110 are allowed'}")


if __name__ == "__main__":
    sys.exit(main())
