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

import dialects
import model as network
import tok

HERE = os.path.dirname(os.path.abspath(__file__))
DEV = os.path.join(HERE, "../../shared/data/dev")
MINILM = {"arena_hard_v2": "0.58", "banking77_subset": "0.69", "clinc_domains": "0.51", "clinc_intents_banking": "0.51 to 0.78", "clinc_intents_kitchen": "0.51 to 0.78",
          "clinc_intents_mixed20": "0.51 to 0.78", "clinc_intents_travel": "0.51 to 0.78", "clinc_intents_work": "0.51 to 0.78", "code_tasks": "0.61", "dolly_categories": "0.51",
          "hwu64_scenarios": "0.66", "metatool": "0.73", "mmlu_domains": "0.56", "multidogo_intents": "0.58", "sgd_domains": "0.47", "sgd_intents": "0.42", "snips": "0.81",
          "stackoverflow_topics": "0.59", "vicuna_categories": "0.44"}
HELD_OUT = {"arena_hard_v2", "mmlu_domains", "vicuna_categories"}


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


def tempered(logs, temperature):
    """Probabilities of the answers at a temperature; what is left is no valid answer and counts as one more."""
    rest = math.log(max(1 - sum(map(math.exp, logs)), 1e-9))
    scaled = [x / temperature for x in logs + [rest]]
    top = max(scaled)
    total = sum(math.exp(x - top) for x in scaled)
    return [math.exp(x - top) / total for x in scaled[:-1]]


def ece(judged, temperature):
    """Ten bins of equal width, as src/eval/calibration.rs."""
    bins = [[0, 0.0, 0] for _ in range(10)]
    for logs, right in judged:
        p = max(tempered(logs, temperature))
        cell = bins[min(int(p * 10), 9)]
        cell[0] += 1
        cell[1] += p
        cell[2] += right
    return sum(abs(conf - right) for _, conf, right in bins) / max(len(judged), 1)


def fit(judged, truth):
    """The temperature with the best log-likelihood of the labels."""
    def loss(t):
        return -sum(math.log(max(tempered(logs, t)[i], 1e-9)) for (logs, _), i in zip(judged, truth))
    return min((round(0.5 + 0.05 * i, 2) for i in range(71)), key=loss)


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
    pooled, truth, rows = [], [], {}
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
                    pooled.append((logs, names[best] == label))
                    truth.append(names.index(label))
        rows[name] = right / len(todo)
        print(f"| {name} | {'no' if name in HELD_OUT else 'yes'} | {len(todo)} | {rows[name]:.2f} | {MINILM.get(name, '')} |", flush=True)
    mean = sum(rows.values()) / len(rows)
    print(f"| **mean of {len(rows)} sets** | | | **{mean:.3f}** | |")
    temperature = fit(pooled, truth)
    before, after = ece(pooled, 1.0), ece(pooled, temperature)
    print(f"\nExpected calibration error {before:.3f}; at temperature {temperature}: {after:.3f}. Dialect {args.dialect}.")
    if args.json:
        json.dump({"sets": rows, "mean": mean, "temperature": temperature, "ece": before, "ece_tempered": after, "dialect": args.dialect}, open(args.json, "w"), indent=1)


if __name__ == "__main__":
    sys.exit(main())
