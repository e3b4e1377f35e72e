#!/usr/bin/env python3
"""Makes a smaller base model, to be healed by training: without some layers, and without tokens that routing prompts never use.

usage: shrink.py MODEL_DIR OUT_DIR [--drop-layers 19,20,21] [--vocab N [--text FILE]...]

Do it before prepare.py: shards hold token ids of one vocabulary. Tokens are kept in this order until N: special tokens, the 256 bytes, tokens of the
text files (.jsonl, .jsonl.gz or plain; default: the training pool) by how often they occur, then the base model's most frequent; each with all the tokens it is
merged from, so that every text can still be written. Layers to drop first: the upper middle (of 30: 18 to 24), never the first or last ones.
"""
import argparse
import collections
import gzip
import json
import os
import shutil
import sys

import torch
from safetensors.torch import save_file

import dialects
import model as network
import prepare
import tok

TEXT_KEYS = ("content", "description", "name")


def texts(path):
    opener = gzip.open if path.endswith(".gz") else open
    with opener(path, "rt", encoding="utf8") as file:
        for line in file:
            if not line.startswith("{"):
                yield line
                continue
            case = json.loads(line)
            for item in case.get("messages", []) + case.get("routes", []):
                yield " ".join(str(item[k]) for k in TEXT_KEYS if isinstance(item.get(k), str))


def kept_tokens(folder, size, paths):
    spec, tokenizer = tok.read_spec(folder), tok.load(folder)
    vocab = spec["model"]["vocab"]
    made_from = {}
    for a, b in tok.merges_of(spec):
        made_from.setdefault(a + b, (a, b))
    counts = collections.Counter()
    batch = [dialects.chat(dialects.render(d, [{"name": "a", "description": "b"}], [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}])) * 1000 for d in dialects.DIALECTS]
    for path in paths:
        for text in texts(path):
            batch.append(text)
            if len(batch) >= 2000:
                for e in tokenizer.encode_batch_fast(batch, add_special_tokens=False):
                    counts.update(e.ids)
                batch = []
    for e in tokenizer.encode_batch_fast(batch, add_special_tokens=False):
        counts.update(e.ids)
    names = {i: t for t, i in vocab.items()}
    kept = {t["content"] for t in spec["added_tokens"]} | {t for t in vocab if len(t) == 1}
    order = [names[i] for i, _ in counts.most_common() if i in names] + [t for t, _ in sorted(vocab.items(), key=lambda x: x[1])]
    for token in order:
        need, todo = set(), [token]
        while todo:
            part = todo.pop()
            if part not in kept and part not in need:
                need.add(part)
                todo += made_from.get(part, ())
        if len(kept) + len(need) <= size:
            kept |= need
    used = sum(n for i, n in counts.items() if names.get(i) in kept)
    print(f"{len(kept)} tokens kept of {len(vocab)}; they are {used / sum(counts.values()):.2%} of the text")
    return spec, kept


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("out")
    parser.add_argument("--drop-layers", default="", help="numbers from 0, with commas")
    parser.add_argument("--vocab", type=int)
    parser.add_argument("--text", action="append")
    args = parser.parse_args(argv)
    os.makedirs(args.out, exist_ok=True)
    config = json.load(open(os.path.join(args.model, "config.json")))
    weights = network.read_weights(args.model)
    drop = {int(n) for n in args.drop_layers.split(",") if n}
    keep = [n for n in range(config["num_hidden_layers"]) if n not in drop]
    out = {k: v for k, v in weights.items() if not k.startswith("model.layers.")}
    for new, old in enumerate(keep):
        start = f"model.layers.{old}."
        out |= {f"model.layers.{new}." + k[len(start):]: v for k, v in weights.items() if k.startswith(start)}
    config["num_hidden_layers"] = len(keep)
    if "max_window_layers" in config:
        config["max_window_layers"] = len(keep)
    if args.vocab:
        spec, kept = kept_tokens(args.model, args.vocab, args.text or [prepare.POOL])
        old_ids = dict(spec["model"]["vocab"]) | {t["content"]: t["id"] for t in spec["added_tokens"]}
        tokens = sorted(kept, key=old_ids.__getitem__)
        new_ids = {t: i for i, t in enumerate(tokens)}
        spec["model"]["vocab"] = {t: i for t, i in new_ids.items() if t in spec["model"]["vocab"]}
        spec["model"]["merges"] = [[a, b] for a, b in tok.merges_of(spec) if a in kept and b in kept and a + b in kept]
        for token in spec["added_tokens"]:
            token["id"] = new_ids[token["content"]]
        by_old = {i: t for t, i in old_ids.items()}
        for key in ("bos_token_id", "eos_token_id", "pad_token_id"):
            if config.get(key) is not None:
                config[key] = new_ids[by_old[config[key]]]
        config["vocab_size"] = len(tokens)
        rows = torch.tensor([old_ids[t] for t in tokens])
        out["model.embed_tokens.weight"] = out["model.embed_tokens.weight"][rows]
        json.dump(spec, open(os.path.join(args.out, "tokenizer.json"), "w", encoding="utf8"), ensure_ascii=False)
    else:
        shutil.copy(os.path.join(args.model, "tokenizer.json"), args.out)
    shutil.copy(os.path.join(args.model, "tokenizer_config.json"), args.out)
    shutil.copy(os.path.join(os.path.dirname(os.path.abspath(__file__)), "chat_template.jinja"), args.out)
    json.dump(config, open(os.path.join(args.out, "config.json"), "w"), indent=2)
    save_file({k: v.contiguous() for k, v in out.items()}, os.path.join(args.out, "model.safetensors"), metadata={"format": "pt"})
    print(f"{sum(v.numel() for v in out.values()) / 1e6:.1f} million parameters in {len(keep)} layers")


if __name__ == "__main__":
    sys.exit(main())
