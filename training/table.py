#!/usr/bin/env python3
"""The table of dev sets from the reports of `waypost eval --json`; evaluate.sh calls it. Needs nothing but Python.

usage: table.py FOLDER      reads FOLDER/*.json, one a set
"""
import glob
import json
import os
import sys

import baselines


def main(folder):
    print("| set | in train | cases | agreement | ECE | all-MiniLM-L6-v2 |\n|---|---|---|---|---|---|")
    runs = {os.path.basename(path)[:-5]: json.load(open(path)) for path in sorted(glob.glob(os.path.join(folder, "*.json")))}
    for name, run in runs.items():
        print(baselines.row(name, run["cases"], f"{run['agreement']:.2f}", f"{run['calibration']['ece']:.2f}"))
    print(f"| **mean of {len(runs)} sets** | | | **{sum(run['agreement'] for run in runs.values()) / len(runs):.3f}** | | |")
    total = sum(run["cases"] for run in runs.values())
    bins = zip(*(run["calibration"]["bins"] for run in runs.values()))
    pooled = sum(abs(sum(cell["cases"] * (cell["confidence"] - cell["agreement"]) for cell in cells)) for cells in bins) / total
    print(f"\nExpected calibration error over all {total} cases: {pooled:.3f}.")


if __name__ == "__main__":
    sys.exit(__doc__ if len(sys.argv) != 2 else main(sys.argv[1]))
