#!/usr/bin/env bash
# Lints what other machines build, macOS with the feature `metal` and Windows, without such a machine: rustup has their standard libraries, and the
# few C sources among the dependencies are compiled by zig (PyPI: ziglang, cargo-zigbuild). Nothing is linked and no Metal shader is compiled.
# Where rustup cannot get a target it says so and leaves it out. usage: scripts/check_targets.sh [options of cargo clippy]
set -euo pipefail
cd "$(dirname "$0")/.."

tools="${XDG_CACHE_HOME:-$HOME/.cache}/waypost/zig"
if [ ! -x "$tools/bin/cargo-zigbuild" ]; then
    rm -rf "$tools"
    python3 -m venv "$tools"
    "$tools/bin/pip" install --quiet ziglang==0.17.1 cargo-zigbuild==0.24.1
fi
export PATH="$tools/bin:$PATH"
# A target folder of its own: one build at a time locks a folder, and these checks share nothing with what runs here.
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/waypost/target}/check-targets"

check() {
    local target="$1"
    shift
    if ! timeout 300 rustup target add "$target"; then
        echo "left out: $target, whose standard library rustup cannot get here" >&2
        return
    fi
    cargo-zigbuild clippy --release --target "$target" --lib --bins "$@" -- -D warnings
}

check aarch64-apple-darwin --features metal "$@"
check x86_64-pc-windows-gnu "$@"
