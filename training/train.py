#!/usr/bin/env python3
"""Trains the built-in router on shards of prepare.py.

usage: train.py --model DIR --shards DIR --out DIR (--minutes N | --steps N) [--device cpu|cuda] [options]

Loss on the answer and the end of turn only: minus the log-probability of an example's whole answer, averaged over examples. The schedule (warm-up,
cosine, phases) runs on the share of the budget that is used up, so a run of `--minutes` ends in time with its learning rate where it should be.
Stop it whenever you like and start the same command again: it goes on from OUT/last.pt. OUT/best is the router with the best share of exact answers
on the held-out shard, in the form that export.py, evaluate.py and Waypost itself read.
"""
import argparse
import concurrent.futures
import json
import math
import os
import random
import shutil
import signal
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F

import model as network

HERE = os.path.dirname(os.path.abspath(__file__))


class Shard:
    """One epoch of groups."""

    def __init__(self, path):
        with np.load(path) as file:
            self.tokens, self.prefix, self.first, self.member = (file[k] for k in ("tokens", "prefix", "first", "member"))

    def __len__(self):
        return len(self.prefix)

    def group(self, index):
        start, length = self.prefix[index]
        members = [(self.tokens[a : a + n], int(k)) for a, n, k in self.member[self.first[index] : self.first[index + 1]]]
        return self.tokens[start : start + length], members

    def cost(self, index):
        """(prefix length, longest continuation, continuations)"""
        rows = self.member[self.first[index] : self.first[index + 1]]
        return int(self.prefix[index][1]), int(rows[:, 1].max()), len(rows)

    def steps(self, groups, seed):
        """The groups of every optimisation step of the epoch: of similar length, in random order."""
        rng = random.Random(seed)
        order = list(range(len(self)))
        rng.shuffle(order)
        steps = []
        for at in range(0, len(order), groups * 32):
            near = sorted(order[at : at + groups * 32], key=lambda i: (self.cost(i)[0] // 64, self.cost(i)[1]))
            steps += [near[i : i + groups] for i in range(0, len(near), groups)]
        rng.shuffle(steps)
        return steps


def micro_batches(shard, indices, budget, combine):
    """The groups of a step in parts of at most `budget` tokens, padding included, one conversation at least.

    A group that is larger is cut, its prefix computed anew for each part. `combine` puts small groups together, which fills a GPU; apart, they
    need no padding and share their prefix without copies, which is what counts on a CPU.
    """
    pieces = []
    for index in indices:
        prefix, members = shard.group(index)
        rows = []
        for member in sorted(members, key=lambda member: len(member[0])):
            if rows and len(prefix) + (len(rows) + 1) * len(member[0]) > budget:
                pieces.append((prefix, rows))
                rows = []
            rows.append(member)
        pieces.append((prefix, rows))
    if not combine:
        return [[piece] for piece in pieces]
    parts, current = [], []
    for piece in sorted(pieces, key=lambda piece: len(piece[1][-1][0])):
        together = current + [piece]
        padded = len(together) * max(len(p) for p, _ in together) + sum(len(m) for _, m in together) * max(len(m[-1][0]) for _, m in together)
        if current and padded > budget:
            parts.append(current)
            current = []
        current.append(piece)
    return parts + [current]


class Ahead:
    """Batches of a GPU's next step, made while it computes this one."""

    def __init__(self, make):
        self.make, self.next = make, (None, None)
        self.thread = concurrent.futures.ThreadPoolExecutor(1)

    def take(self, key, step, next_key, next_step):
        known, made = self.next
        made = made.result() if known == key else self.make(step)
        self.next = (next_key, self.thread.submit(self.make, next_step)) if next_step else (None, None)
        return made


class Data:
    """Shards by kind and epoch, in the order of training."""

    def __init__(self, folder):
        names = sorted(n for n in os.listdir(folder) if n.endswith(".npz"))
        self.paths = {}
        for name in names:
            self.paths.setdefault(name.split("-")[0], []).append(os.path.join(folder, name))
        self.loaded = {}

    def shard(self, kind, epoch):
        path = self.paths[kind][epoch % len(self.paths[kind])]
        if path not in self.loaded:
            self.loaded = {p: s for p, s in self.loaded.items() if "val-" in p}
            self.loaded[path] = Shard(path)
        return self.loaded[path]


def parse_phases(text):
    """`short:0.6,full:0.4` as [(kind, share of the budget at which it ends)]."""
    parts = [(kind, float(share)) for kind, share in (part.split(":") for part in text.split(","))]
    total, ends, at = sum(share for _, share in parts), [], 0.0
    for kind, share in parts:
        at += share / total
        ends.append((kind, at))
    return ends


def rate(progress, args):
    """The learning rate as a share of the highest: linear warm-up, then a cosine down to `min_lr`."""
    if progress < args.warmup:
        return max(progress / args.warmup, 0.01)
    down = min((progress - args.warmup) / (1 - args.warmup), 1.0)
    return args.min_lr + (1 - args.min_lr) * 0.5 * (1 + math.cos(math.pi * down))


def losses(model, batch, args):
    """(sum over examples of the answers' negative log-probability, examples, exact answers)"""
    with torch.autocast(args.device, torch.bfloat16, enabled=args.bf16):
        logits = model(batch, torch.bfloat16 if args.bf16 else torch.float32)
    loss = F.cross_entropy(logits, batch["target"], reduction="sum")
    examples = len(batch["owner"])
    with torch.no_grad():
        wrong = torch.zeros(examples, device=logits.device).index_add_(0, batch["row"], (logits.argmax(-1) != batch["target"]).float())
    return loss, examples, (wrong == 0).sum()


@torch.no_grad()
def validate(model, data, args):
    shard = data.shard("val", 0)
    indices = sorted(range(len(shard)))[: args.val_groups]
    total = exact = loss = 0
    for at in range(0, len(indices), 64):
        for part in micro_batches(shard, indices[at : at + 64], args.micro_tokens, args.device == "cuda"):
            batch = network.to_device(network.collate(part), args.device)
            value, examples, right = losses(model, batch, args)
            total, exact, loss = total + examples, exact + right.item(), loss + value.item()
    return exact / total, loss / total


def make_optimizer(model, args):
    parameters = [p for p in model.parameters() if p.requires_grad]
    matrices, vectors = [p for p in parameters if p.ndim > 1], [p for p in parameters if p.ndim < 2]
    return torch.optim.AdamW([{"params": matrices, "weight_decay": args.weight_decay}, {"params": vectors, "weight_decay": 0.0}],
                             lr=args.lr, betas=(0.9, 0.98), eps=1e-8, fused=True)


def save_router(model, args, folder):
    """A folder that the engine, evaluate.py and export.py can load."""
    os.makedirs(folder, exist_ok=True)
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copy(os.path.join(args.model, name), os.path.join(folder, name))
    shutil.copy(os.path.join(HERE, "chat_template.jinja"), folder)
    network.save_weights(model, os.path.join(folder, "model.safetensors"), torch.bfloat16 if args.save_bf16 else torch.float32)


def save_checkpoint(path, model, optimizer, state):
    frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
    weights = {k: v for k, v in model.state_dict().items() if k not in frozen}
    with open(path + ".new", "wb") as file:
        torch.save({"model": weights, "optimizer": optimizer.state_dict(), "state": state}, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(path + ".new", path)


def train(args):
    torch.manual_seed(args.seed)
    if args.threads:
        torch.set_num_threads(args.threads)
    if args.device == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = True
    os.makedirs(args.out, exist_ok=True)
    data = Data(args.shards)
    model = network.load(args.model, args.device)
    model.freeze(args.freeze_layers)
    optimizer = make_optimizer(model, args)
    phases = parse_phases(args.phases)
    state = {"step": 0, "elapsed": 0.0, "phase": 0, "epoch": 0, "position": 0, "best": -1.0, "validated": 0.0, "examples": 0, "tokens": 0}
    checkpoint = os.path.join(args.out, "last.pt")
    if os.path.exists(checkpoint):
        saved = torch.load(checkpoint, map_location=args.device, weights_only=True)
        model.load_state_dict(saved["model"], strict=False)
        optimizer.load_state_dict(saved["optimizer"])
        state = saved["state"]
        print(f"going on from step {state['step']}, {state['elapsed'] / 60:.1f} minutes in", flush=True)
    log = open(os.path.join(args.out, "log.jsonl"), "a")
    on_gpu = args.device == "cuda"

    def make(step):
        batches = (network.collate(part) for part in micro_batches(shard, step, args.micro_tokens, on_gpu))
        # From pinned memory a copy waits for nothing.
        return [{k: v.pin_memory() if torch.is_tensor(v) else v for k, v in batch.items()} for batch in batches] if on_gpu else batches

    ahead = Ahead(make)
    forward = torch.compile(model, dynamic=True) if args.compile else model
    stop = []
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: stop.append(1))

    def progress():
        share = state["step"] / args.steps if args.steps else (state["elapsed"]) / (args.minutes * 60)
        return min(share, 1.0)

    def check_best():
        model.eval()
        exact, loss = validate(model, data, args)
        model.train()
        better = exact > state["best"]
        print(f"held out: {exact:.1%} exact, loss {loss:.3f}{', the best so far' if better else ''}", flush=True)
        log.write(json.dumps({"step": state["step"], "elapsed": round(state["elapsed"], 1), "val_exact": exact, "val_loss": loss}) + "\n")
        log.flush()
        if better:
            state["best"] = exact
            save_router(model, args, os.path.join(args.out, "best"))

    clock = time.time()
    shown = saved_at = clock
    recent = []
    planned = None

    def tick():
        nonlocal clock
        now = time.time()
        state["elapsed"] += now - clock
        clock = now

    while progress() < 1.0 and not stop and (not args.stop_after or state["step"] < args.stop_after):
        while state["phase"] + 1 < len(phases) and progress() >= phases[state["phase"]][1]:
            state.update(phase=state["phase"] + 1, epoch=0, position=0)
        kind = phases[state["phase"]][0]
        shard = data.shard(kind, state["epoch"])
        key = (kind, state["epoch"])
        if planned is None or planned[0] != key:
            planned = key, shard.steps(args.groups, f"{args.seed}/{kind}/{state['epoch']}")
        step = planned[1][state["position"]]
        for group in optimizer.param_groups:
            group["lr"] = args.lr * rate(progress(), args)
        examples = sum(shard.cost(i)[2] for i in step)
        total, exact, tokens = 0.0, 0, 0
        position = state["position"]
        following = planned[1][position + 1] if on_gpu and position + 1 < len(planned[1]) else None
        for batch in ahead.take((key, position), step, (key, position + 1), following):
            batch = network.to_device(batch, args.device)
            loss, _, right = losses(forward, batch, args)
            (loss / examples).backward()
            total, exact, tokens = total + loss.detach(), exact + right, tokens + batch["tokens"]
        torch.nn.utils.clip_grad_norm_([p for p in model.parameters() if p.requires_grad], args.clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        state["step"] += 1
        state["position"] += 1
        state["examples"] += examples
        state["tokens"] += tokens
        if state["position"] >= len(planned[1]):
            state.update(epoch=state["epoch"] + 1, position=0)
        # Reading a figure back waits for the GPU: not at every step.
        recent.append((total, exact, examples, tokens))
        tick()
        if clock - shown >= args.show_seconds or progress() >= 1.0:
            count = sum(r[2] for r in recent)
            loss, right = float(sum(r[0] for r in recent)) / count, float(sum(r[1] for r in recent)) / count
            tick()
            speed = sum(r[3] for r in recent) / (clock - shown)
            left = state["elapsed"] / max(progress(), 1e-9) * (1 - progress())
            line = {"step": state["step"], "elapsed": round(state["elapsed"], 1), "phase": kind, "epoch": state["epoch"], "loss": round(loss, 4), "exact": round(right, 4),
                    "lr": optimizer.param_groups[0]["lr"], "examples": state["examples"], "tokens_per_second": round(speed), "examples_per_second": round(count / (clock - shown), 2)}
            print(f"step {line['step']} {kind} {state['epoch']} | loss {loss:.3f} | exact {right:.1%} | {speed:.0f} tok/s {line['examples_per_second']} ex/s | "
                  f"lr {line['lr']:.1e} | {progress():.1%}, {state['examples']} examples, {left / 60:.1f} min left", flush=True)
            log.write(json.dumps(line) + "\n")
            log.flush()
            recent, shown = [], clock
        if args.val_every and progress() - state["validated"] >= args.val_every and progress() < 1.0:
            state["validated"] = progress()
            check_best()
            tick()
            shown = clock
        if clock - saved_at >= args.save_minutes * 60:
            save_checkpoint(checkpoint, model, optimizer, state)
            tick()
            saved_at = shown = clock
    if progress() >= 1.0:
        check_best()
        save_router(model, args, os.path.join(args.out, "last"))
    save_checkpoint(checkpoint, model, optimizer, state)
    log.close()
    print(f"{'done' if progress() >= 1.0 else 'stopped'} after {state['step']} steps, {state['examples']} examples, {state['elapsed'] / 60:.1f} minutes; best {state['best']:.1%}")
    return model, state


def parse(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--model", required=True)
    add("--shards", default=os.path.join(HERE, "work/shards"))
    add("--out", required=True)
    add("--device", choices=("cpu", "cuda"), default="cpu")
    add("--minutes", type=float, help="budget in minutes, validation and checkpoints included")
    add("--steps", type=int, help="budget in steps")
    add("--stop-after", type=int, help="stop at this step as if interrupted (for tests)")
    add("--phases", default=None, help="kinds of shards and their share of the budget (cpu: short:0.55,full:0.45; cuda: full:1)")
    add("--freeze-layers", type=int, default=None, help="the first N layers and the embeddings stay as they are (cpu: a third; cuda: 0 = train everything)")
    add("--groups", type=int, default=None, help="groups a step (cpu: 3; cuda: 24)")
    add("--micro-tokens", type=int, default=None, help="padded tokens computed at a time (cpu: 4500; cuda: 65536)")
    add("--bf16", action=argparse.BooleanOptionalAction, default=None, help="matrix products in bf16 (default: on cuda, and on CPUs that have it)")
    add("--save-bf16", action="store_true", help="write routers in bf16, half the size")
    add("--compile", action="store_true", help="torch.compile")
    add("--lr", type=float, default=None, help="highest learning rate (cpu: 4e-4; cuda: 3e-4)")
    add("--min-lr", type=float, default=0.02, help="share of it at the end")
    add("--warmup", type=float, default=0.03, help="share of the budget")
    add("--weight-decay", type=float, default=0.01)
    add("--clip", type=float, default=1.0)
    add("--val-every", type=float, default=None, help="share of the budget between two validations (cpu: 0.1; cuda: 0.1); 0: only at the end")
    add("--val-groups", type=int, default=None, help="(cpu: 40; cuda: all)")
    add("--save-minutes", type=float, default=10)
    add("--show-seconds", type=float, default=10)
    add("--threads", type=int, default=0)
    add("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    if (args.minutes is None) == (args.steps is None):
        parser.error("give --minutes or --steps")
    gpu = args.device == "cuda"
    layers = json.load(open(os.path.join(args.model, "config.json")))["num_hidden_layers"]
    has_bf16 = gpu or "avx512_bf16" in (open("/proc/cpuinfo").read() if os.path.exists("/proc/cpuinfo") else "")
    defaults = dict(phases="full:1" if gpu else "short:0.55,full:0.45", freeze_layers=0 if gpu else layers // 3, groups=24 if gpu else 3, micro_tokens=65536 if gpu else 4500,
                    bf16=has_bf16, lr=3e-4 if gpu else 4e-4, val_every=0.1, val_groups=10**9 if gpu else 40)
    for name, value in defaults.items():
        if getattr(args, name) is None:
            setattr(args, name, value)
    return args


if __name__ == "__main__":
    train(parse())
    sys.exit(0)
