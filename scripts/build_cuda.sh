#!/usr/bin/env bash
# Builds Waypost with the feature `cuda` on a machine that has neither NVIDIA's toolkit nor a card, to be carried to one that has. Compiler and
# libraries come from PyPI; for linking there is a stand-in for the driver, which answers every call with "no card". So the result also starts here:
# `--device auto` must then go on with the CPU and say why, and `--device cuda` must end with status 3.
# usage: [CUDA_COMPUTE_CAP=90] scripts/build_cuda.sh [options of cargo build]
set -euo pipefail
cd "$(dirname "$0")/.."

cache="${XDG_CACHE_HOME:-$HOME/.cache}/waypost"
wheels="$cache/cuda-13.0"
toolkit="$wheels/nvidia/cu13"
if [ ! -f "$wheels/complete" ]; then
    rm -rf "$wheels"
    python3 -m venv "$wheels/venv"
    # Of the same release throughout: nvcc refuses headers of another.
    "$wheels/venv/bin/pip" install --quiet --no-deps --target "$wheels" nvidia-cuda-nvcc==13.0.88 nvidia-nvvm==13.0.88 nvidia-cuda-crt==13.0.88 \
        nvidia-cuda-runtime==13.0.96 nvidia-cuda-cccl==13.0.85 nvidia-cuda-nvrtc==13.0.88 nvidia-cublas==13.0.2.14 nvidia-curand==10.4.0.35
    chmod -R u+x "$toolkit/bin" "$toolkit/nvvm/bin"
    # Wheels have no names without a version, by which linkers look.
    for library in cublas cublasLt cudart curand nvrtc; do
        ln -s "$(basename "$(ls "$toolkit/lib/lib$library.so".*)")" "$toolkit/lib/lib$library.so"
    done
    touch "$wheels/complete"
fi

driver="$toolkit/lib/stubs"
if [ ! -f "$driver/libcuda.so.1" ]; then
    mkdir -p "$driver"
    bindings="$(cargo metadata --format-version 1 --features cuda | python3 -c '
import json, os, sys
print(next(os.path.dirname(p["manifest_path"]) for p in json.load(sys.stdin)["packages"] if p["name"] == "cudarc"))')/src/driver"
    # 100 is CUDA_ERROR_NO_DEVICE.
    grep -rohE 'fn cu[A-Z][A-Za-z0-9_]+' "$bindings" | sort -u | sed -E 's/fn (.*)/int \1(void) { return 100; }/' >"$driver/cuda.c"
    gcc -shared -fPIC -w -Wl,-soname,libcuda.so.1 -o "$driver/libcuda.so.1" "$driver/cuda.c"
    ln -sf libcuda.so.1 "$driver/libcuda.so"
fi

export CUDA_HOME="$toolkit" NVCC="$toolkit/bin/nvcc" PATH="$toolkit/bin:$PATH" LIBRARY_PATH="$toolkit/lib:$driver" CUDA_COMPUTE_CAP="${CUDA_COMPUTE_CAP:-90}"
# A target folder of its own, so that the ordinary build stays as it is.
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$cache/target}/cuda"
# Its own kernels are compiled where they run: here only to see that they compile.
nvcc -arch "compute_$CUDA_COMPUTE_CAP" -ptx -o /dev/null src/engine/fused.cu
cargo build --release --features cuda --bin waypost "$@"
echo "$CARGO_TARGET_DIR/release/waypost"
echo "to start it here: LD_LIBRARY_PATH=$toolkit/lib:$driver; on a machine with a card: the folders of its libcudart, libcublas, libcurand and libnvrtc"
