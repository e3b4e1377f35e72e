"""Writes tests/fixtures/comparisons.jsonl: random pairs of runs with what statsmodels, scikit-learn and numpy say about them.

    python3 -m venv /tmp/v && /tmp/v/bin/pip install scikit-learn statsmodels numpy && /tmp/v/bin/python scripts/metrics_fixtures.py
"""

import json
import pathlib

import numpy as np
from sklearn.calibration import calibration_curve
from sklearn.metrics import accuracy_score, f1_score, recall_score
from statsmodels.stats.contingency_tables import mcnemar

LABELS = ["a", "b", "c", "other"]
RESAMPLES = 20_000


def runs(random, conversations, skill):
    """Conversations of one to four turns; turns of one conversation share how hard they are."""
    conversation, labels, decided = [], [], [[], []]
    for number in range(conversations):
        hard = random.random()
        for _ in range(random.integers(1, 5)):
            conversation.append(number)
            labels.append(str(random.choice(LABELS)))
            for run in range(2):
                right = random.random() < skill[run] * (1.3 - hard)
                decided[run].append(labels[-1] if right else str(random.choice(LABELS)))
    return np.array(conversation), np.array(labels), [np.array(run) for run in decided]


def fixture(random, conversations, skill):
    conversation, labels, (a, b) = runs(random, conversations, skill)
    right = [a == labels, b == labels]
    table = [[int((right[0] & right[1]).sum()), int((right[0] & ~right[1]).sum())],
             [int((~right[0] & right[1]).sum()), int((~right[0] & ~right[1]).sum())]]
    turns = np.bincount(conversation, minlength=conversations)
    gain = np.bincount(conversation, weights=right[1].astype(float) - right[0], minlength=conversations)
    drawn = random.integers(0, conversations, (RESAMPLES, conversations))
    differences = gain[drawn].sum(axis=1) / turns[drawn].sum(axis=1)
    confidence = np.round(random.random(len(labels)), 4)
    # Bins of scikit-learn are closed above, ours below; no confidence lies on an edge.
    confidence[np.isclose(confidence * 10 % 1, 0)] += 0.0001
    share, mean = calibration_curve(right[1], confidence, n_bins=10, strategy="uniform")
    bins = np.minimum((confidence * 10).astype(int), 9)
    weights = np.array([(bins == bin).mean() for bin in range(10) if (bins == bin).any()])
    thresholds = [0.25, 0.5, 0.75]
    return {
        "conversation": conversation.tolist(), "y": labels.tolist(), "a": a.tolist(), "b": b.tolist(), "confidence": confidence.tolist(),
        "agreement": [accuracy_score(labels, a), accuracy_score(labels, b)],
        "f1": [f1_score(labels, run, labels=LABELS, average=None, zero_division=0).tolist() for run in (a, b)],
        "recall": [recall_score(labels, run, labels=LABELS, average=None, zero_division=0).tolist() for run in (a, b)],
        "mcnemar": {"b": table[0][1], "c": table[1][0], "p": float(mcnemar(table, exact=True).pvalue)},
        "bootstrap": np.percentile(differences, [2.5, 97.5]).tolist(),
        "reliability": [share.tolist(), mean.tolist()], "ece": float((weights * np.abs(share - mean)).sum()),
        "review": [[t, float((confidence >= t).mean()), float(right[1][confidence >= t].mean())] for t in thresholds],
    }


def main():
    random = np.random.default_rng(20250619)
    shapes = [(12, (0.7, 0.9)), (40, (0.6, 0.9)), (150, (0.7, 0.75)), (400, (0.9, 0.6))]
    path = pathlib.Path(__file__).parents[1] / "tests/fixtures/comparisons.jsonl"
    path.write_text("".join(json.dumps(fixture(random, *shape)) + "\n" for shape in shapes))
    tests = [(b, c) for b, c in [(0, 0), (0, 1), (2, 12), (5, 5), (1, 7), (30, 60), (400, 470), (2000, 2200)]]
    exact = [[b, c, float(mcnemar([[0, b], [c, 0]], exact=True).pvalue)] for b, c in tests]
    (path.parent / "mcnemar.json").write_text(json.dumps(exact) + "\n")


if __name__ == "__main__":
    main()
