#!/usr/bin/env python3
"""Accuracy and calibration on the dev sets, scored as Waypost does: the log-probability of every allowed answer with its end of turn.

usage: evaluate.py ROUTER_DIR [--device cpu|cuda] [--dialect archgw-0.3.1] [--limit N] [--json FILE] [--temperature T]

ROUTER_DIR: a folder with *.safetensors, or an export with *.gguf (then the quantised weights are measured). Prints a markdown table with the figures of
all-MiniLM-L6-v2 beside, the expected calibration error before and after a fitted temperature, and that temperature for `export.py --temperature`.
(List dialects are scored by the whole one-name answer here; Waypost counts longer lists too.)
"""
import argparse
import glob
import json
import math
import os
import sys

import torch
import yaml

import baselines
import dialects
import model as network
import temperature
import tok

HERE = os.path.dirname(os.path.abspath(__file__))
DEV = os.path.join(HERE, "../../shared/data/dev")


def cases(folder, limit):
    policy = os.path.join(folder, "policy.yaml")
    routes = yaml.safe_load(open(policy, encoding="utf8"))["routes"] if os.path.exists(policy) else None
    with open(os.path.join(folder, "smoke.jsonl"), encoding="utf8") as file:
        for line, _ in zip(file, range(limit)):
            case = json.loads(line)
            yield case.get("routes") or routes, case["messages"], case["route"]


@torch.no_grad()
def score(model, tokenizer, dialect, work, device, bf16=False):
    """For each (routes, messages): the log-probability of each route's answer and, last, of no route."""
    end = tokenizer.token_to_id(tok.END)
    groups, counts = [], []
    for routes, messages in work:
        prompt = tok.ids(tokenizer, dialects.chat(dialects.render(dialect, routes, messages)))
        answers = [tok.ids(tokenizer, dialects.answer(dialect, name)) + [end] for name in [r["name"] for r in routes] + [dialects.NO_ROUTE]]
        groups.append((prompt[:-1], [(prompt[-1:] + a, len(a)) for a in answers]))
        counts.append(len(answers))
    batch = network.to_device(network.collate(groups), device)
    with torch.autocast(device, torch.bfloat16, enabled=bf16):
        logits = model(batch)
    picked = logits.log_softmax(-1).gather(1, batch["target"][:, None])[:, 0]
    sums = torch.zeros(len(batch["owner"]), device=device).index_add_(0, batch["row"], picked)
    return [part.tolist() for part in sums.cpu().split(counts)]


def with_rest(logs):
    """The answers' log-probabilities and, last, that of everything which is no valid answer."""
    return logs + [math.log(max(1 - sum(map(math.exp, logs)), 1e-9))]


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("router")
    parser.add_argument("--dev", default=DEV)
    parser.add_argument("--dialect", default="archgw-0.3.1", choices=dialects.DIALECTS)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--limit", type=int, default=10**9)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--sets", nargs="*")
    parser.add_argument("--json")
    args = parser.parse_args(argv)
    if args.threads:
        torch.set_num_threads(args.threads)
    model, tokenizer = network.load(args.router, args.device).eval(), tok.load(args.router)
    print("| set | in train | cases | accuracy | all-MiniLM-L6-v2 |\n|---|---|---|---|---|", flush=True)
    pooled, rows = [], {}
    for folder in sorted(glob.glob(os.path.join(args.dev, "*"))):
        name = os.path.basename(folder)
        if args.sets and name not in args.sets:
            continue
        todo = sorted(cases(folder, args.limit), key=lambda c: len(str(c)))
        right = 0
        for at in range(0, len(todo), args.batch):
            part = todo[at : at + args.batch]
            for (routes, _, label), logs in zip(part, score(model, tokenizer, args.dialect, [c[:2] for c in part], args.device, args.bf16)):
                names = [r["name"] for r in routes] + [dialects.NO_ROUTE]
                # The gateway takes what greedy decoding writes; the likeliest whole answer is the same but for rare ties of prefixes.
                best = max(range(len(logs)), key=logs.__getitem__)
                right += names[best] == label
                if label in names:
                    pooled.append((with_rest(logs), names.index(label), best))
        rows[name] = right / len(todo)
        print(baselines.row(name, len(todo), f"{rows[name]:.2f}"), flush=True)
    mean = sum(rows.values()) / len(rows)
    print(f"| **mean of {len(rows)} sets** | | | **{mean:.3f}** | |")
    fitted = temperature.fit(pooled)
    before, after = temperature.ece(pooled, 1.0), temperature.ece(pooled, fitted)
    print(f"\nExpected calibration error {before:.3f}; at temperature {fitted}: {after:.3f}. Dialect {args.dialect}.")
    if args.json:
        json.dump({"sets": rows, "mean": mean, "temperature": fitted, "ece": before, "ece_tempered": after, "dialect": args.dialect}, open(args.json, "w"), indent=1)


if __name__ == "__main__":
    sys.exit(main())
