#!/usr/bin/env python3
"""Makes a router less ready to say that no route fits, by a factor on the embedding of the token "other".

usage: bias.py ROUTER_DIR OUT_DIR FACTOR      FACTOR under 1 lowers the token's score wherever it may be written

A router that has seen few kinds of policies takes what it does not know for no route. Its answers' scores are products with the tied embeddings, so
one row is a bias; as input the row passes through a norm at once, which makes its length matter next to nothing there. Dialects that say "no route" by
an empty list stay as they are.
"""
import os
import shutil
import sys

from safetensors.torch import load_file, save_file

import tok


def main(folder, out, factor):
    shutil.copytree(folder, out, dirs_exist_ok=True)
    path = os.path.join(out, "model.safetensors")
    weights = load_file(path)
    row = tok.load(folder).token_to_id("other")
    weights["model.embed_tokens.weight"] = weights["model.embed_tokens.weight"].clone()
    weights["model.embed_tokens.weight"][row] *= float(factor)
    save_file(weights, path, metadata={"format": "pt"})
    print(f"row {row} times {factor}")


if __name__ == "__main__":
    sys.exit(__doc__ if len(sys.argv) != 4 else main(*sys.argv[1:]))
