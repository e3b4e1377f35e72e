#!/bin/bash
# Runs on the GPU machine: one stage a call, everything under /tmp/wp there. README.md has the sequence of calls.
# usage: gpu.sh take DIR | gpu.sh train MINUTES [train.py options] | gpu.sh more ... | gpu.sh fetch N
set -euo pipefail
export PYTHONUNBUFFERED=1 PYTHONPATH=/tmp/wp/site TOKENIZERS_PARALLELISM=false
wp=/tmp/wp
mkdir -p $wp
case $1 in
take) # copies the parts of the carried folder
    cp "$2"/bundle.* $wp/
    ls -l $wp
    ;;
train) # unpacks, checks, prepares, trains, evaluates, exports, cuts the export into files that come back
    minutes=$2
    shift 2
    cd $wp
    if [ ! -d training ]; then
        cat bundle.tar.?? >bundle.tar
        sha256sum -c bundle.sha256
        tar xf bundle.tar && rm bundle.tar
        python3 -m pip install -q --no-index --no-deps --no-compile --no-cache-dir --target $wp/site wheels/*.whl
    fi
    date
    python3 training/prepare.py shards --pool data/train.jsonl.gz --model model --out shards --epochs "${EPOCHS:-4}" --short-epochs 0 --workers 16
    date
    python3 training/train.py --model model --shards shards --out run --device cuda --minutes "$minutes" --save-minutes 100 "$@" | tee run.log
    date
    python3 training/evaluate.py run/best --dev data/dev --device cuda --batch 16 --json run/dev.json | tee run/table.md
    python3 training/export.py run/best export --temperature "$(python3 -c 'import json; print(json.load(open("run/dev.json"))["temperature"])')" ${RULES:-}
    python3 training/evaluate.py export --dev data/dev --device cuda --batch 16 | tee export/table.md
    cp run.log run/log.jsonl run/dev.json export/
    rm -rf back && mkdir back && tar cf - export | split -b 16000000 -d - back/export.tar.
    (cd back && sha256sum export.tar.* >SHA256)
    ls -l back
    ;;
fetch) # the Nth four files of the export, N from 0: at most 64 MiB come back in one call
    cp $wp/back/SHA256 "$OUT"/
    ls $wp/back/export.tar.* | sed -n "$(($2 * 4 + 1)),$(($2 * 4 + 4))p" | xargs -I{} cp {} "$OUT"/
    ls -l "$OUT"
    ;;
esac
