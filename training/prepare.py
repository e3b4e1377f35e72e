#!/usr/bin/env python3
"""Turns the pool of labelled conversations into shards of token ids, one shard an epoch, and packs what a GPU machine needs.

usage: prepare.py shards --model DIR [--out work/shards] [--epochs 1] [--short-epochs 1] [--limit N] [--workers 2] [--seed 0]
       prepare.py pack   --model DIR --out DIR [--part-mib 50]

Every line of the pool has a policy of its own, but computing a policy's prefix once for several conversations is what makes training cheap.
So a shard consists of groups: one line's policy with its own conversation, and conversations of other lines of the same family whose route is
in this policy too (the same description but for its lead-in, or the same name). Three policies in four lose one of their routes, whose
conversations then have the label `other`: about one example in six. Each epoch has other groups, another order of the routes, and dialects drawn anew. Everything follows from the seed.
Some of the groups come from conversations that were written for this router (authored.py).
"""
import argparse
import collections
import gzip
import hashlib
import json
import multiprocessing
import os
import random
import re
import sys
import time

import numpy as np

import authored
import dialects
import tok

HERE = os.path.dirname(os.path.abspath(__file__))
POOL = os.path.join(HERE, "../../shared/data/train/train.jsonl.gz")
MIXTURE = {"archgw-0.3.1": 0.5, "model-card": 0.3, "plano-0.4.20": 0.2}
# Families whose lines find few partners would be seen less often than others without it.
HOST_WEIGHT = {"sealtools": 3}
OPAQUE = re.compile(r"(r|model|intent|policy|agent|route)[-_ ./]?(\d+|[a-z])", re.I)
LEAD = re.compile(
    r"(handle requests to|the user wants to|when someone wants to|use this route when the user wants to|queries where the user wants to"
    r"|user asks to|requests to|use this route to:|the user has)\s+", re.I)


def squeeze(text):
    return re.sub(r"[^a-z0-9]", "", text.lower())


def family(line):
    return re.sub(r"_\d+$", "", line["id"])


def is_opaque(name):
    return OPAQUE.fullmatch(name) is not None


def core(route):
    """A description without its lead-in, so that the pool's ways of putting it are one."""
    text = route["description"].strip()
    colon = re.match(r"([^:]{1,50}): ", text)
    if colon:
        label, name = squeeze(colon.group(1)), squeeze(route["name"])
        if is_opaque(route["name"]) or label in name or name in label or colon.group(1).islower():
            text = text[colon.end():]
    text = LEAD.sub("", text, count=1) if LEAD.match(text) else text
    return squeeze(text)


class Classes:
    """Which routes of different lines of one family mean the same: by description, and by name where names say something."""

    def __init__(self, lines):
        self.parent = {}
        for line in lines:
            route = gold(line)
            if route:
                key = "d:" + core(route)
                self.find(key, add=True)
                # "Buy tickets" is an intent of three services there: names say too little.
                if not is_opaque(route["name"]) and family(line) != "sgd_intent":
                    name = "n:" + squeeze(re.split(r"[/.]", route["name"])[-1])
                    self.parent[self.find(key, add=True)] = self.find(name, add=True)

    def find(self, key, add=False):
        if key not in self.parent:
            if not add:
                return None
            self.parent[key] = key
        while self.parent[key] != key:
            self.parent[key] = self.parent[self.parent[key]]
            key = self.parent[key]
        return key

    def of(self, route):
        return self.find("d:" + core(route))


def gold(line):
    if line["route"] == dialects.NO_ROUTE:
        return None
    return next(r for r in line["routes"] if r["name"] == line["route"])


def read_pool(path, limit=None):
    with gzip.open(path, "rt", encoding="utf8") as file:
        return [json.loads(text) for text, _ in zip(file, range(limit or 10**9))]


def is_validation(line, share=0.015):
    """By the last message's text, so that no conversation stands on both sides; policies never do, each line has its own."""
    digest = hashlib.sha256(line["messages"][-1]["content"].strip().lower().encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


class Planner:
    """Draws groups: (routes in order, dialect, [(messages, label)])."""

    def __init__(self, lines, seed, written=None, share=0.0):
        self.lines = lines
        self.seed = seed
        self.written, self.share = written, share
        by_family = collections.defaultdict(list)
        for index, line in enumerate(lines):
            by_family[family(line)].append(index)
        self.class_of, self.members, self.classes = {}, {}, {}
        for name, indices in sorted(by_family.items()):
            classes = self.classes[name] = Classes([lines[i] for i in indices])
            members = self.members[name] = collections.defaultdict(list)
            for i in indices:
                route = gold(lines[i])
                if route:
                    self.class_of[i] = classes.of(route)
                    members[self.class_of[i]].append(i)

    def epoch(self, number, kind, size=(6, 8), examples=None, max_chars=None, mixture=None):
        """The groups of one epoch: as many examples as the pool has lines, unless `examples` says otherwise."""
        rng = random.Random(f"{self.seed}/{kind}/{number}")
        hosts = [i for i, line in enumerate(self.lines) for _ in range(HOST_WEIGHT.get(family(line), 1))]
        # Epochs take their hosts one after the other from the same order, so that every policy has its turn.
        order = random.Random(f"{self.seed}/{kind}").sample(range(len(hosts)), len(hosts))
        wanted = examples or len(self.lines)
        first = number * (wanted // 7)
        made = 0
        for step in range(len(order)):
            if made >= wanted:
                return
            if self.written and rng.random() < self.share:
                group = self.written.group(rng, size, max_chars, mixture or MIXTURE)
                made += len(group[2])
                yield group
                continue
            host = hosts[order[(first + step) % len(order)]]
            if max_chars and self.chars(host) > max_chars:
                continue
            group = self.group(host, rng, size, max_chars, mixture or MIXTURE)
            made += len(group[2])
            yield group

    def chars(self, index):
        return sum(len(message["content"]) for message in self.lines[index]["messages"])

    def group(self, host, rng, size, max_chars=None, mixture=MIXTURE):
        line = self.lines[host]
        name = family(line)
        classes, members = self.classes[name], self.members[name]
        kinds = [(classes.of(route), route["name"]) for route in line["routes"]]
        count = collections.Counter(kind for kind, _ in kinds if kind)
        usable = [(kind, route) for kind, route in kinds if kind and count[kind] == 1]
        # Without one of its routes a policy has nothing for the conversations of that route.
        removed = rng.choice(usable) if len(kinds) >= 4 and len(usable) >= 2 and rng.random() < 0.75 else None
        kept = [choice for choice in usable if choice != removed]
        left_out = removed[1] if removed else None
        label_of = lambda label: dialects.NO_ROUTE if label == left_out else label
        chosen = [(host, label_of(line["route"]))]
        taken = {line["messages"][-1]["content"]}
        target = rng.randint(*size)
        # Twice as many as wanted, of which those of like length stay: rows of a batch are padded to the longest.
        for _ in range(target * 4):
            if len(chosen) >= target * 2 or not kept:
                break
            kind, label = removed if removed and rng.random() < 0.2 else rng.choice(kept)
            other = rng.choice(members[kind])
            text = self.lines[other]["messages"][-1]["content"]
            if text not in taken and not (max_chars and self.chars(other) > max_chars):
                taken.add(text)
                chosen.append((other, label_of(label)))
        chosen.sort(key=lambda choice: self.chars(choice[0]))
        start = rng.randint(0, max(len(chosen) - target, 0))
        chosen = chosen[start : start + target]
        routes = [route for route in rng.sample(line["routes"], len(line["routes"])) if route["name"] != left_out]
        dialect = rng.choices(list(mixture), list(mixture.values()))[0]
        return routes, dialect, [(self.lines[i]["messages"], label) for i, label in chosen]


def tokenise(tokenizer, end, group, short, max_tokens):
    """(prefix ids, [(ids after the prefix, number of answer tokens with the end of turn)]), or None when nothing is left."""
    routes, dialect, members = group
    made = []
    for messages, label in members:
        prompt = tok.ids(tokenizer, dialects.chat(dialects.render(dialect, routes, messages, short=short)))
        answer = tok.ids(tokenizer, dialects.answer(dialect, label)) + [end]
        if len(prompt) + len(answer) <= max_tokens:
            made.append((prompt, answer))
    if not made:
        return None
    prompts = [prompt for prompt, _ in made]
    shared = len(os.path.commonprefix(prompts))
    # The end of a prompt is never part of the prefix: its last position predicts the first token of the answer.
    shared = min(shared, min(map(len, prompts)) - 1)
    if len(made) == 1:
        shared = min(shared, len(prompts[0]) - 8)
    return prompts[0][:shared], [(prompt[shared:] + answer, len(answer)) for prompt, answer in made]


_worker = {}


def _start(model, short, max_tokens):
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    tokenizer = tok.load(model)
    _worker.update(tokenizer=tokenizer, end=tokenizer.token_to_id(tok.END), short=short, max_tokens=max_tokens)


def _work(group):
    return tokenise(_worker["tokenizer"], _worker["end"], group, _worker["short"], _worker["max_tokens"])


def write_shard(path, groups, about):
    """tokens u16; prefix (start, length) and first member of each group; member (start, length, answer length)."""
    tokens, prefix, first, member, at = [], [], [0], [], 0

    def put(ids):
        nonlocal at
        tokens.append(np.asarray(ids, dtype=np.uint16))
        at += len(ids)
        return at - len(ids), len(ids)

    for head, members in groups:
        prefix.append(put(head))
        for ids, answer in members:
            member.append((*put(ids), answer))
        first.append(len(member))
    arrays = dict(tokens=np.concatenate(tokens), prefix=np.array(prefix, np.int64), first=np.array(first, np.int64), member=np.array(member, np.int64))
    with open(path + ".new", "wb") as file:
        np.savez(file, about=json.dumps(about), **arrays)
        file.flush()
        os.fsync(file.fileno())
    os.replace(path + ".new", path)
    return len(prefix), len(member), at


def make_shards(args):
    os.makedirs(args.out, exist_ok=True)
    lines = read_pool(args.pool, args.limit)
    held_out = [line for line in lines if is_validation(line)]
    lines = [line for line in lines if not is_validation(line)]
    print(f"{len(lines)} lines to train on, {len(held_out)} held out", flush=True)
    assert tok.load(args.model).get_vocab_size() <= 65536
    mixture = {name: float(share) for name, share in (part.split(":") for part in args.mixture.split(","))}
    jobs = [("val-00", held_out, "val", 0, False, min(args.val_examples, 8 * len(held_out)))]
    jobs += [(f"short-{e:02}", lines, "short", e, True, args.short_examples or args.examples) for e in range(args.short_epochs)]
    jobs += [(f"full-{e:02}", lines, "full", e, False, args.examples) for e in range(args.epochs)]
    planners = {}
    if args.only_epoch is not None:
        jobs = [job for job in jobs if job[3] == args.only_epoch]
    for name, source, kind, epoch, short, examples in jobs:
        path = os.path.join(args.out, name + ".npz")
        if os.path.exists(path) and not args.force:
            print(f"{name}: exists")
            continue
        start = time.time()
        planner = planners.get(kind == "val")
        if planner is None:
            share = 0.0 if kind == "val" else args.authored_share
            written = authored.Authored(authored.read(args.authored), args.seed) if share else None
            planner = planners[kind == "val"] = Planner(source, args.seed, written, share)
        with multiprocessing.Pool(args.workers, _start, (args.model, short, args.max_tokens)) as pool:
            size = (6, 8) if kind == "val" else tuple(args.short_group if short else args.group)
            drawn = planner.epoch(epoch, kind, size, examples, args.short_chars if short else args.max_chars, mixture)
            groups = [g for g in pool.imap(_work, drawn, chunksize=64) if g]
        about = dict(name=name, seed=args.seed, epoch=epoch, short=short, mixture=mixture, group=size, max_tokens=args.max_tokens)
        count = write_shard(path, groups, about)
        print(f"{name}: {count[0]} groups, {count[1]} examples, {count[2]} tokens, {os.path.getsize(path) / 1e6:.0f} MB, {time.time() - start:.0f} s", flush=True)


def pack(args):
    """Cuts base weights, their small files, the pool and this folder's programs into parts that fit one device call each."""
    import io
    import tarfile
    import tempfile

    import export
    import model as network
    os.makedirs(args.out, exist_ok=True)
    bundle = os.path.join(args.out, "bundle.tar")
    with tarfile.open(bundle, "w") as tar:
        def add(name, data):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
        for name in sorted(os.listdir(HERE)):
            if name.endswith((".py", ".jinja", ".sh", ".txt")):
                add("training/" + name, open(os.path.join(HERE, name), "rb").read())
        for name in sorted(os.listdir(os.path.join(HERE, "authored"))):
            add("training/authored/" + name, open(os.path.join(HERE, "authored", name), "rb").read())
        add("data/train.jsonl.gz", open(args.pool, "rb").read())
        dev = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(args.pool))), "dev")
        for folder in sorted(os.listdir(dev)):
            for name in ("smoke.jsonl", "policy.yaml"):
                path = os.path.join(dev, folder, name)
                if os.path.exists(path):
                    add(f"data/dev/{folder}/{name}", open(path, "rb").read())
        for name in sorted(os.listdir(args.model)):
            if name.endswith((".json", ".jinja")):
                add("model/" + name, open(os.path.join(args.model, name), "rb").read())
        for name in sorted(os.listdir(args.wheels)) if args.wheels else []:
            add("wheels/" + name, open(os.path.join(args.wheels, name), "rb").read())
        with tempfile.TemporaryDirectory() as scratch:
            # The base model comes in blocks of Q4_1 (embeddings Q8_0): written so, it is a third of bf16 and the same numbers. What was trained is not.
            weights = {k: v.float().numpy() for k, v in network.read_weights(args.model).items()}
            rules = [("", args.weights)] if args.weights else [("token_embd", "Q8_0"), ("", "Q4_1")]
            [path] = export.write_gguf(args.model, scratch, weights, rules, 10**12, "")
            back = export.read_gguf([path])
            worst = max(float(np.abs(back[k].numpy() - v).max() / max(np.abs(v).max(), 1e-9)) for k, v in weights.items() if k in back)
            print(f"weights as packed differ by at most {worst:.1e} of a tensor's largest")
            add("model/model.gguf", open(path, "rb").read())
    size, part = args.part_mib << 20, 0
    with open(bundle, "rb") as file:
        while data := file.read(size):
            folder = os.path.join(args.out, f"part{part:02}")
            os.makedirs(folder, exist_ok=True)
            open(os.path.join(folder, f"bundle.tar.{part:02}"), "wb").write(data)
            print(f"{folder}: {len(data) / 2**20:.1f} MiB")
            part += 1
    digest = hashlib.sha256(open(bundle, "rb").read()).hexdigest()
    open(os.path.join(args.out, f"part{part - 1:02}", "bundle.sha256"), "w").write(f"{digest}  bundle.tar\n")
    os.remove(bundle)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    shards = commands.add_parser("shards")
    shards.add_argument("--out", default=os.path.join(HERE, "work/shards"))
    shards.add_argument("--epochs", type=int, default=1)
    shards.add_argument("--short-epochs", type=int, default=1)
    shards.add_argument("--only-epoch", type=int, metavar="N", help="of these epochs, to make several at a time")
    shards.add_argument("--examples", type=int, help="examples an epoch (default: the lines of the pool)")
    shards.add_argument("--short-examples", type=int, help="the same for epochs without the closing instructions")
    shards.add_argument("--group", type=int, nargs=2, default=(6, 8), metavar=("MIN", "MAX"), help="conversations that share a policy")
    shards.add_argument("--short-group", type=int, nargs=2, default=(6, 8), metavar=("MIN", "MAX"), help="the same for epochs without the closing instructions")
    shards.add_argument("--max-chars", type=int, help="leaves longer conversations out")
    shards.add_argument("--short-chars", type=int, help="the same for epochs without the closing instructions")
    shards.add_argument("--mixture", default=",".join(f"{name}:{share}" for name, share in MIXTURE.items()), help="dialects and their shares (%(default)s)")
    shards.add_argument("--authored", default=os.path.join(HERE, "authored"), help="folder of the conversations written for this router (%(default)s)")
    shards.add_argument("--authored-share", type=float, default=0.4, help="share of the groups that come from there (%(default)s)")
    shards.add_argument("--val-examples", type=int, default=1600)
    shards.add_argument("--limit", type=int, help="read so many lines only")
    shards.add_argument("--max-tokens", type=int, default=1536)
    shards.add_argument("--workers", type=int, default=max(1, os.cpu_count() or 1))
    shards.add_argument("--seed", type=int, default=0)
    shards.add_argument("--force", action="store_true")
    packer = commands.add_parser("pack")
    packer.add_argument("--out", required=True)
    packer.add_argument("--part-mib", type=int, default=50)
    packer.add_argument("--weights", metavar="TYPE", help="for a model that was trained already: BF16, Q8_0 or Q5_0 (default: what the base model comes in)")
    packer.add_argument("--wheels", help="folder of wheels to take along (gguf is missing on the GPU machine)")
    for command in (shards, packer):
        command.add_argument("--model", required=True, help="folder of the base model, see README.md")
        command.add_argument("--pool", default=POOL)
    args = parser.parse_args()
    {"shards": make_shards, "pack": pack}[args.command](args)


if __name__ == "__main__":
    sys.exit(main())
