#!/usr/bin/env python3
"""Fits the temperature of the shown probabilities on runs of `waypost eval`, and says what it does to the expected calibration error.

usage: temperature.py RUN_DIR...      folders that `waypost eval --out` wrote, with a router that has no router.json yet

Prints the temperature for `export.py --temperature`: the one with the smallest error over all cases. (The best log-likelihood would make every set pay
for the worst ones.) Probabilities are tempered as src/engine/calibration.rs does, the mass on no valid answer left as it is. Needs nothing but Python.
"""
import csv
import json
import math
import os
import sys

csv.field_size_limit(1 << 24)


def cases(folder):
    """(logs of the probabilities and of the rest, position of the label, position of the decision) of each case that has them."""
    with open(os.path.join(folder, "cases.csv"), encoding="utf8", newline="") as file:
        for row in csv.DictReader(file):
            shares = json.loads(row["probabilities"] or "{}")
            names = list(shares)
            # A label that is no route of the policy cannot be decided, whatever the temperature.
            if row["label"] not in names or row["decided"] not in names:
                continue
            logs = [math.log(max(p, 1e-12)) for p in [*shares.values(), float(row["invalid_mass"])]]
            yield logs, names.index(row["label"]), names.index(row["decided"])


def tempered(logs, temperature):
    """Probabilities of the answers, which share what the rest, the last of the logs, leaves; the rest stays."""
    *answers, rest = logs
    top, outside = max(answers), math.exp(rest)
    scaled = [math.exp((x - top) / temperature) for x in answers]
    total = sum(scaled)
    return [(1 - outside) * x / total for x in scaled] + [outside]


def ece(judged, temperature):
    """Ten bins of equal width, as src/eval/calibration.rs."""
    bins = [[0, 0.0, 0] for _ in range(10)]
    for logs, label, decided in judged:
        p = tempered(logs, temperature)[decided]
        cell = bins[min(int(p * 10), 9)]
        cell[0] += 1
        cell[1] += p
        cell[2] += label == decided
    return sum(abs(sure - right) for _, sure, right in bins) / max(len(judged), 1)


def fit(judged):
    return min((round(0.5 + 0.05 * i, 2) for i in range(51)), key=lambda temperature: ece(judged, temperature))


def main(folders):
    judged = [case for folder in folders for case in cases(folder)]
    temperature = fit(judged)
    print(f"{len(judged)} cases: expected calibration error {ece(judged, 1.0):.3f}; at temperature {temperature}: {ece(judged, temperature):.3f}", file=sys.stderr)
    print(temperature)


if __name__ == "__main__":
    sys.exit(__doc__ if len(sys.argv) < 2 else main(sys.argv[1:]))
