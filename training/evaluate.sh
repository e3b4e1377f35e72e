#!/bin/sh
# Accuracy on the dev sets, measured by Waypost itself: a markdown table on standard output.
# usage: evaluate.sh ROUTER [LIMIT]      WAYPOST=path of the binary, DEV=folder of the dev sets, DIALECT=archgw-0.3.1, OUT=folder that keeps the report of each set
set -eu
here=$(cd "$(dirname "$0")" && pwd)
router=$1
limit=${2:-1000000}
waypost=${WAYPOST:-waypost}
dev=${DEV:-$here/../../shared/data/dev}
dialect=${DIALECT:-archgw-0.3.1}
out=${OUT:-$(mktemp -d)}
mkdir -p "$out"
for folder in "$dev"/*/; do
    name=$(basename "$folder")
    policy=$folder/policy.yaml
    if [ ! -e "$policy" ]; then # metatool: every line brings its own routes
        policy=$out/$name.policy.yaml
        printf 'routes:\n  - name: "unused"\n    description: "Every line has routes of its own."\n' >"$policy"
    fi
    "$waypost" eval --policy "$policy" --set "$folder/smoke.jsonl" --dialect "$dialect" --router "$router" --limit "$limit" --out "$out/$name" --json >"$out/$name.json"
    echo "$name done" >&2
done
python3 - "$here" "$out" <<'PY'
import glob, json, os, sys
sys.path.insert(0, sys.argv[1])
# evaluate.py needs torch; the two tables in it do not.
text = open(os.path.join(sys.argv[1], "evaluate.py")).read()
scope = {}
exec(text[text.index("MINILM = "):text.index("\n\n\ndef cases")], scope)
print("| set | in train | cases | agreement | ECE | all-MiniLM-L6-v2 |\n|---|---|---|---|---|---|")
rows = []
for path in sorted(glob.glob(sys.argv[2] + "/*.json")):
    name, run = os.path.basename(path)[:-5], json.load(open(path))
    rows.append(run)
    print(f"| {name} | {'no' if name in scope['HELD_OUT'] else 'yes'} | {run['cases']} | {run['agreement']:.2f} | {run['calibration']['ece']:.2f} | {scope['MINILM'].get(name, '')} |")
print(f"| **mean of {len(rows)} sets** | | | **{sum(r['agreement'] for r in rows) / len(rows):.3f}** | | |")
bins = [b for r in rows for b in [r["calibration"]["bins"]]]
total = sum(r["cases"] for r in rows)
pooled = sum(abs(sum(b[i]["cases"] * (b[i]["confidence"] - b[i]["agreement"]) for b in bins)) for i in range(10)) / total
print(f"\nExpected calibration error over all {total} cases: {pooled:.3f}.")
PY
