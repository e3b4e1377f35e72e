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
python3 "$here/table.py" "$out"
