#!/usr/bin/env python3
"""Averages the weights of two routers of which one was trained on from the other (Wortsman et al. 2022, "Model soups"; WiSE-FT).

usage: average.py ROUTER_DIR TRAINED_ON_DIR OUT_DIR [SHARE]      SHARE of the second, 0.5 by default

What the later training gained on new kinds of policies stays for the most part, and what it lost on the old ones comes back.
"""
import os
import shutil
import sys

from safetensors.torch import load_file, save_file


def average(first, second, share):
    """{name: tensor}, in the types of the first."""
    return {name: ((1 - share) * weight.float() + share * second[name].float()).to(weight.dtype) for name, weight in first.items()}


def main(first, second, out, share=0.5):
    first, second = (os.path.join(folder, "model.safetensors") for folder in (first, second))
    shutil.copytree(os.path.dirname(first), out, dirs_exist_ok=True)
    save_file(average(load_file(first), load_file(second), float(share)), os.path.join(out, "model.safetensors"), metadata={"format": "pt"})


if __name__ == "__main__":
    sys.exit(__doc__ if len(sys.argv) not in (4, 5) else main(*sys.argv[1:]))
