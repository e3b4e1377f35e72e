#!/usr/bin/env python3
"""Rounds the matrices of a trained router's layers to Q5_0 so that the layers' results change least (GPTQ, Frantar et al. 2022).

usage: quantise.py ROUTER_DIR SHARDS_DIR OUT_DIR [--sequences 80] [--threads 2]

OUT_DIR gets the router with its rounded weights, for evaluate.py, and packed.safetensors with the blocks as they are stored, which export.py takes as
they are. SHARDS_DIR (prepare.py shards) has the prompts and answers at which results are compared. The embedding is left to export.py, which rounds it
plainly: that costs nothing.
"""
import argparse
import os
import shutil
import sys

import numpy as np
import torch
from safetensors.torch import save_file

import export
import model as network
from train import Shard

BLOCK = 32
# Q5_0: 32 numbers as d * (q - 16) with q in 0 to 31, d in f16.
LOWEST, HIGHEST = -16, 15
# Of the largest number of a block divided by 16: where the best step lies.
STEPS = torch.linspace(0.7, 1.07, 38)


def sequences(folder, count, seed=0):
    """Prompts with their answers: one conversation of each group."""
    name = sorted(n for n in os.listdir(folder) if n.startswith("full-"))[0]
    shard = Shard(os.path.join(folder, name))
    order = np.random.default_rng(seed).permutation(len(shard))[:count]
    for index in order:
        prefix, members = shard.group(int(index))
        yield torch.as_tensor(np.concatenate([prefix, members[0][0]]).astype(np.int64))


def step_of(block, weight):
    """The step of each row's block [rows, 32] that loses least, where `weight` says how much each of the numbers matters."""
    at = block.abs().argmax(1, keepdim=True)
    largest = block.gather(1, at)
    best, least = torch.zeros_like(largest), torch.full_like(largest, float("inf"))
    # Sixteen steps reach one way and fifteen the other, so the sign of the step matters.
    for factor in torch.cat([STEPS, -STEPS]):
        step = (largest * factor / LOWEST).half().float()
        lost = ((rounded(block, step)[0] - block).square() * weight).sum(1, keepdim=True)
        better = lost < least
        best, least = torch.where(better, step, best), torch.where(better, lost, least)
    return best


def rounded(numbers, step):
    """(the nearest numbers that can be stored, how many steps they are)"""
    steps = torch.where(step == 0, 0.0, numbers / torch.where(step == 0, 1.0, step)).round().clamp(LOWEST, HIGHEST)
    return steps * step, steps


def quantise(weight, moments, damping=0.01):
    """Rounds `weight` [out, in] block by block; what a rounding loses is made up for by the columns that are not rounded yet. `moments` [in, in] are those
    of the inputs. Returns (rounded weights, steps [out, in / 32], numbers of steps [out, in])."""
    left = weight.clone()
    moments = moments + torch.eye(len(moments)) * (damping * moments.diagonal().mean())
    inverse = torch.linalg.cholesky(torch.cholesky_inverse(torch.linalg.cholesky(moments)), upper=True)
    result, count = torch.zeros_like(weight), torch.zeros_like(weight)
    steps = torch.zeros(len(weight), weight.shape[1] // BLOCK)
    for start in range(0, weight.shape[1], BLOCK):
        columns = slice(start, start + BLOCK)
        block, local = left[:, columns].clone(), inverse[columns, columns]
        step = step_of(block, 1 / local.diagonal().square())
        steps[:, start // BLOCK] = step[:, 0]
        lost = torch.zeros_like(block)
        for column in range(BLOCK):
            result[:, start + column], count[:, start + column] = (part[:, 0] for part in rounded(block[:, column : column + 1], step))
            lost[:, column] = (block[:, column] - result[:, start + column]) / local[column, column]
            block[:, column:] -= lost[:, column : column + 1] * local[column : column + 1, column:]
        left[:, start + BLOCK :] -= lost @ inverse[columns, start + BLOCK :]
    return result, steps, count


def pack(steps, count):
    """The blocks as a file has them: step, fifth bits, and sixteen bytes with the low four bits of two numbers each."""
    rows, blocks = steps.shape
    q = (count.numpy().reshape(rows, blocks, BLOCK) - LOWEST).astype(np.uint8)
    low = (q[..., :16] & 15) | ((q[..., 16:] & 15) << 4)
    high = np.packbits(q >> 4, axis=-1, bitorder="little")
    step = steps.numpy().astype("<f2").view(np.uint8).reshape(rows, blocks, 2)
    return torch.from_numpy(np.concatenate([step, high, low], -1).reshape(rows, -1))


@torch.no_grad()
def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("router")
    parser.add_argument("shards")
    parser.add_argument("out")
    parser.add_argument("--sequences", type=int, default=80)
    parser.add_argument("--threads", type=int, default=0)
    args = parser.parse_args(argv)
    if args.threads:
        torch.set_num_threads(args.threads)
    model = network.load(args.router).eval()
    hidden, ropes, masks = [], [], []
    for ids in sequences(args.shards, args.sequences):
        hidden.append(model.embed_tokens(ids)[None])
        ropes.append(model.rope(torch.arange(len(ids))[None], torch.float32))
        masks.append(torch.zeros(len(ids), len(ids)).masked_fill(torch.ones(len(ids), len(ids), dtype=torch.bool).triu(1), float("-inf"))[None, None])
    print(f"{len(hidden)} sequences, {sum(x.shape[1] for x in hidden)} tokens", flush=True)
    packed = {}
    for index, layer in enumerate(model.layers):
        run = lambda x, rope, mask: layer(None, x, (None, rope), mask, None, False)[1]
        # Matrices with the same input share its moments.
        inputs = {"q_proj": ("q_proj", "k_proj", "v_proj"), "o_proj": ("o_proj",), "gate_proj": ("gate_proj", "up_proj"), "down_proj": ("down_proj",)}
        for first, names in inputs.items():
            width = getattr(layer, first).in_features
            moments = torch.zeros(width, width)

            def add(_, given):
                x = given[0].flatten(0, 1)
                moments.addmm_(x.T, x)

            hook = getattr(layer, first).register_forward_pre_hook(add)
            for x, rope, mask in zip(hidden, ropes, masks):
                run(x, rope, mask)
            hook.remove()
            for name in names:
                matrix = getattr(layer, name)
                exact = matrix.weight.clone()
                result, steps, count = quantise(exact, moments)
                matrix.weight.copy_(result)
                packed[export.gguf_name(network.hf_name(f"layers.{index}.{name}.weight"))] = pack(steps, count)
                if name == first:
                    lost = lambda change: float(((change @ moments) * change).sum() / ((exact @ moments) * exact).sum())
                    print(f"layer {index} {name}: {lost(result - exact):.1e} of the result lost", flush=True)
        hidden = [run(x, rope, mask) for x, rope, mask in zip(hidden, ropes, masks)]
    os.makedirs(args.out, exist_ok=True)
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copy(os.path.join(args.router, name), args.out)
    shutil.copy(os.path.join(os.path.dirname(os.path.abspath(__file__)), "chat_template.jinja"), args.out)
    network.save_weights(model, os.path.join(args.out, "model.safetensors"))
    save_file(packed, os.path.join(args.out, "packed.safetensors"))


if __name__ == "__main__":
    sys.exit(main())
