"""The router's tokenizer, as transformers 5 builds it for a folder of model_type qwen2 (and as src/engine/tokenizer.rs does): vocabulary and
merges from tokenizer.json, but always Qwen2's normaliser and way of cutting text."""
import json
import os

from tokenizers import Regex, Tokenizer, decoders, normalizers, pre_tokenizers

QWEN2 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
END = "<|im_end|>"


def load(folder):
    tokenizer = Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(QWEN2), behavior="isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def ids(tokenizer, text):
    return tokenizer.encode(text, add_special_tokens=False).ids


def merges_of(spec):
    """The merges of a parsed tokenizer.json as pairs."""
    return [tuple(m) if isinstance(m, list) else tuple(m.split(" ", 1)) for m in spec["model"]["merges"]]


def read_spec(folder):
    return json.load(open(os.path.join(folder, "tokenizer.json"), encoding="utf8"))
