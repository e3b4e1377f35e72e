#!/usr/bin/env bash
# Compares decisions by a real llama.cpp server with our own engine's on the same file.
#
# usage: check_endpoint.sh ROUTER.gguf [PYTHON]
#   PYTHON has llama-cpp-python[server] installed (python3 -m venv V && V/bin/pip install 'llama-cpp-python[server]'), default python3.
set -euo pipefail
cd "$(dirname "$0")/.."
router=$1
python=${2:-python3}
port=${PORT:-18080}
waypost=${WAYPOST:-target/release/waypost}
[ -x "$waypost" ] || { cargo build --release; waypost=target/release/waypost; }

work=$(mktemp -d)
"$python" -m llama_cpp.server --model "$router" --model_alias router --port "$port" --n_ctx 4096 --logits_all true >"$work/server.log" 2>&1 &
server=$!
trap 'kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT
for _ in $(seq 120); do
  if curl -sf "http://127.0.0.1:$port/v1/models" >/dev/null; then break; fi
  kill -0 "$server" || { cat "$work/server.log"; exit 1; }
  sleep 1
done

same=0 different=0
for policy in sample_policies/*/policy.yaml; do
  for conversation in "$(dirname "$policy")"/conversations/*.json; do
    decide() { "$waypost" route --policy "$policy" --conversation "$conversation" --router "$1" --json --timeout 300; }
    decide "$router" >"$work/ours.json"
    decide "http://127.0.0.1:$port/v1#router" >"$work/theirs.json"
    if python3 - "$work/ours.json" "$work/theirs.json" "$conversation" <<'PY'; then same=$((same + 1)); else different=$((different + 1)); fi
import json, sys
ours, theirs = (json.load(open(path)) for path in sys.argv[1:3])
p = lambda decision: {route["route"]: route["p"] for route in decision["probabilities"]}
known = p(theirs)
apart = max((abs(known[route] - p(ours).get(route, 0)) for route in known), default=None)
equal = (ours["outcome"], ours["route"]) == (theirs["outcome"], theirs["route"])
shown = "no probabilities" if apart is None else f"{len(known)} probabilities known, apart by at most {apart:.4f}"
print("equal" if equal else f"DIFFERENT: {ours['answer']!r} and {theirs['answer']!r}", sys.argv[3], shown)
sys.exit(not equal)
PY
  done
done
echo "$same equal, $different different"
[ "$different" = 0 ]
