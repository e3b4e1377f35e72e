#!/usr/bin/env bash
# Type-checks the feature `cuda` on a machine without NVIDIA's compiler: a stand-in for nvcc makes empty kernels, which nothing reads before
# linking. So everything that is Rust is checked, and no kernel. usage: scripts/check_cuda.sh [options of cargo clippy]
set -euo pipefail
cd "$(dirname "$0")/.."

toolkit="$(mktemp -d)"
trap 'rm -rf "$toolkit"' EXIT
mkdir -p "$toolkit/bin" "$toolkit/include" "$toolkit/lib64"
cat >"$toolkit/bin/nvcc" <<'NVCC'
#!/usr/bin/env bash
out="" folder="" source=""
while [ $# -gt 0 ]; do
    case "$1" in
        --version) printf '%s\n' 'stand-in for nvcc' '' '' 'Cuda compilation tools, release 13.0, V13.0.0'; exit ;;
        --list-gpu-code) echo sm_80; exit ;;
        -o) out="$2"; shift ;;
        --output-directory) folder="$2"; shift ;;
        *.cu) source="$1" ;;
    esac
    shift
done
if [ -n "$folder" ]; then out="$folder/$(basename "${source%.cu}").ptx"; fi
: >"$out"
NVCC
chmod +x "$toolkit/bin/nvcc"

export NVCC="$toolkit/bin/nvcc" PATH="$toolkit/bin:$PATH" CUDA_COMPUTE_CAP=80
# A target folder of its own: kernels made here must never reach a build that runs.
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/waypost/target}/check-cuda"
cargo clippy --release --features cuda --lib --bins "$@" -- -D warnings
