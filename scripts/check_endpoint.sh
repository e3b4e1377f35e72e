#!/usr/bin/env bash
# Compares decisions by a real llama.cpp server with our own engine's on the same file.
#
# usage: check_endpoint.sh ROUTER.gguf [PYTHON]
#   PYTHON has llama-cpp-python[server] installed (python3 -m venv V && V/bin/pip install 'llama-cpp-python[server]'), default python3.
# environment: COUNT conversations (8), CONTEXT tokens of the server (2048), PORT (18080), WAYPOST the program to use,
#   LOGPROBS=false for a router that does not know when to end: this server fails when its context is full and it keeps log-probabilities.
#
# A decision is an outcome and a route. Texts that a router is not sure of may differ: gateways ask for the temperature 0.01, at which a server
# still draws between tokens whose log-probabilities are closer than a few hundredths.
set -euo pipefail
cd "$(dirname "$0")/.."
router=$1
python=${2:-python3}
port=${PORT:-18080}
waypost=${WAYPOST:-target/release/waypost}
[ -x "$waypost" ] || cargo build --release

work=$(mktemp -d)
# This server punishes repetition by 1.1 unless a request says otherwise, and gateways say nothing; without it the same text is to be expected.
cat >"$work/serve.py" <<'PY'
import llama_cpp.server.types as types
from llama_cpp.server.__main__ import main
types.CreateChatCompletionRequest.model_fields["repeat_penalty"].default = 1.0
types.CreateChatCompletionRequest.model_rebuild(force=True)
main()
PY
"$python" "$work/serve.py" --model "$router" --model_alias router --port "$port" --n_ctx "${CONTEXT:-2048}" --logits_all "${LOGPROBS:-true}" >"$work/server.log" 2>&1 &
server=$!
trap 'kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT
for _ in $(seq 120); do
  if curl -sf "http://127.0.0.1:$port/v1/models" >/dev/null; then break; fi
  kill -0 "$server" || { cat "$work/server.log"; exit 1; }
  sleep 1
done

cat >"$work/compare.py" <<'PY'
import json, sys
ours, theirs = (json.load(open(path)) for path in sys.argv[1:3])
p = {route["route"]: route["p"] for route in ours["probabilities"]}
known = theirs["probabilities"]
apart = max((abs(route["p"] - p[route["route"]]) for route in known), default=None)
equal = (ours["outcome"], ours["route"]) == (theirs["outcome"], theirs["route"])
alike = next((at for at, (a, b) in enumerate(zip(ours["answer"], theirs["answer"])) if a != b), len(ours["answer"]))
shown = "" if apart is None else f", {len(known)} of {len(p)} probabilities known, apart by at most {apart:.4f}"
said = ours["outcome"] if ours["route"] is None else ours["route"]
tokens = f", prompt of {ours['tokens']['prompt']} and {theirs['tokens']['prompt']} tokens, first {alike} of {len(ours['answer'])} characters alike"
print(f"equal: {said}" if equal else f"DIFFERENT: {ours['answer']!r} here, {theirs['answer'][:200]!r} there", sys.argv[3] + tokens + shown)
sys.exit(not equal)
PY

same=0 different=0
# Short ones: a router that does not know when to end writes until the context is full.
for conversation in $(ls -S -r sample_policies/*/conversations/*.json | head -n "${COUNT:-8}"); do
  policy=$(dirname "$(dirname "$conversation")")/policy.yaml
  decide() { "$waypost" route --policy "$policy" --conversation "$conversation" --router "$1" --json --timeout 600; }
  if decide "$router" >"$work/ours.json" && decide "http://127.0.0.1:$port/v1#router" >"$work/theirs.json" && python3 "$work/compare.py" "$work/ours.json" "$work/theirs.json" "$conversation"; then same=$((same + 1)); else different=$((different + 1)); fi
done
echo "$same equal, $different different"
[ "$different" = 0 ]
