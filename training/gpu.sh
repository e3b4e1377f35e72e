#!/bin/bash
# Runs on the GPU machine, everything under /tmp/wp there. README.md has the sequence of calls.
# usage: gpu.sh take DIR | gpu.sh start MINUTES [train.py options] | gpu.sh look [SECONDS] | gpu.sh fetch N
set -euo pipefail
export PYTHONUNBUFFERED=1 PYTHONPATH=/tmp/wp/site TOKENIZERS_PARALLELISM=false
# Batches differ in shape, and without it the allocator holds twice what they take.
export PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True
wp=/tmp/wp
mkdir -p $wp
case $1 in
take) # copies the parts of the carried folder
    cp "$2"/bundle.* $wp/
    ls -l $wp
    ;;
start) # unpacks, checks and trains in the background: calls that carry other things need not wait
    cd $wp
    cat bundle.tar.?? >bundle.tar
    sha256sum -c bundle.sha256
    tar xf bundle.tar && rm bundle.tar
    python3 -m pip install -q --no-index --no-deps --no-compile --no-cache-dir --target $wp/site wheels/*.whl
    shift
    setsid nohup bash training/gpu.sh run "$@" >log 2>&1 </dev/null &
    ;;
run) # prepares, trains, exports, evaluates, cuts the export into files that come back
    minutes=$2
    shift 2
    cd $wp
    date
    epochs=${EPOCHS:-6}
    for epoch in $(seq 0 $((epochs - 1))); do
        python3 training/prepare.py shards --pool data/train.jsonl.gz --model model --out shards --epochs "$epochs" --short-epochs 0 --only-epoch "$epoch" --workers 3 ${PREPARE:-} &
    done
    wait
    date
    python3 training/train.py --model model --shards shards --out run --device cuda --minutes "$minutes" --save-minutes 100 --val-every 0.2 "$@"
    date
    python3 training/export.py run/last export --rule "=${WEIGHTS:-Q8_0}" --max-mb 1000
    cp log run/log.jsonl export/
    rm -rf back && mkdir back && tar cf - export | split -b 16000000 -d - back/export.tar.
    (cd back && sha256sum export.tar.* >SHA256)
    ls -l back
    python3 training/evaluate.py run/last --dev data/dev --device cuda --bf16 --batch 32 --json run/dev.json
    date
    echo finished
    ;;
look) # the end of the log; waits until training has ended, so many seconds at most
    for _ in $(seq "${2:-0}"); do
        tail -n 1 $wp/log | grep -q '^finished' && break
        kill -0 "$(pgrep -f 'gpu.sh run' | head -1)" 2>/dev/null || break
        sleep 1
    done
    tail -n 60 $wp/log | cut -c 1-200
    ;;
fetch) # the Nth four files of the export, N from 0: at most 64 MiB come back in one call
    cp $wp/back/SHA256 $wp/log "$OUT"/
    ls $wp/back/export.tar.* | sed -n "$(($2 * 4 + 1)),$(($2 * 4 + 4))p" | xargs -I{} cp {} "$OUT"/
    ls -l "$OUT"
    ;;
esac
