#!/usr/bin/env bash
# Makes assets/screenshots/*.png: runs the window on a virtual display and presses the keys of a first session.
# Needs Xvfb, xdotool and ImageMagick, and a Vulkan driver (Debian: mesa-vulkan-drivers).
#   scripts/screenshots.sh [ROUTER]     ROUTER as for `waypost --router`, built-in where it is missing
set -euo pipefail
cd "$(dirname "$0")/.."
binary=${WAYPOST_BINARY:-${CARGO_TARGET_DIR:-target}/release/waypost}
out=${WAYPOST_SCREENSHOTS:-assets/screenshots}
router=${1:-builtin}
display=:${WAYPOST_DISPLAY:-91}
size=${WAYPOST_SIZE:-1280x800}
home=$(mktemp -d)
mkdir -p "$out" "$home/run" && chmod 700 "$home/run"

Xvfb "$display" -screen 0 "${size}x24" >"$home/xvfb.log" 2>&1 &
xvfb=$!
app=
cleanup() {
    if [ -n "$app" ]; then kill "$app" 2>/dev/null || true; wait "$app" 2>/dev/null || true; fi
    kill "$xvfb" 2>/dev/null || true
    rm -rf "$home"
}
trap cleanup EXIT
sleep 1

# A home of its own, so that nobody's drafts are shown or touched.
export DISPLAY=$display HOME=$home XDG_DATA_HOME=$home/data XDG_CONFIG_HOME=$home/config XDG_RUNTIME_DIR=$home/run
unset WAYLAND_DISPLAY
sample=sample_policies/coding_assistant
# A second version of one description, to compare with; the set in a copy, since labels could be changed in it.
sed -e 's/^name:.*/name: "Coding assistant, shorter"/' -e '/name: "bug_fixing"/{n;s/description:.*/description: "Fixing errors in code"/}' \
    "$sample/policy.yaml" >"$home/shorter.yaml"
cp "$sample/labelled.jsonl" "$home/labelled.jsonl"
"$binary" gui "$home/shorter.yaml" "$sample/policy.yaml" "$sample/conversations/write_then_crash_then_speed_up.json" \
    "$home/labelled.jsonl" --router "$router" >"$home/app.log" 2>&1 &
app=$!
sleep 4
window=$(xdotool search --onlyvisible --name Waypost | head -1)
xdotool windowsize "$window" "${size%x*}" "${size#*x}" windowmove "$window" 0 0 windowfocus "$window"
sleep "${WAYPOST_LOAD_SECONDS:-4}"

keys() { for key in "$@"; do xdotool key --clearmodifiers "$key"; sleep 0.6; done; }
# Few colours and no metadata: the pictures live in git.
shot() { sleep 1.2; import -window root "$home/shot.png"; convert "$home/shot.png" -strip +dither -colors 128 -define png:compression-level=9 "$out/$1.png"; }
# Chooses an action by its name, as a user would: through the palette.
action() { keys ctrl+k; xdotool type --delay 20 "$1"; sleep 0.4; keys Return; }

action "Light theme"
# The labelled set, which was opened last, has brought its own tab up.
keys ctrl+1 ctrl+Return
sleep "${WAYPOST_ROUTE_SECONDS:-8}"
shot policy-light
action "Dark theme"
keys ctrl+2
shot playground-dark
action "Light theme"
keys ctrl+1 ctrl+e
shot yaml-light
keys ctrl+e ctrl+k
xdotool type --delay 20 "rou"
shot palette-light
keys Escape
action "Measure agreement"
sleep "${WAYPOST_MEASURE_SECONDS:-30}"
keys ctrl+3 F8
shot batch-light
action "Measure open variants"
sleep "$((2 * ${WAYPOST_MEASURE_SECONDS:-30}))"
keys ctrl+4
shot compare-light
keys ctrl+5
shot export-light
