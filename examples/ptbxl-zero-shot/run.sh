#!/bin/sh
# K-MERL and MERL on PTB-XL: zero-shot by lead set, the table of docs/methods/kmerl.md.
#
#   sh run.sh PTBXL_FOLDER OUT [REPORTS.csv]
#
# PTBXL_FOLDER is PTB-XL as published, or a part of it with its ptbxl_database.csv. REPORTS.csv (columns report and
# strat_fold) holds further reports for the text encoder; only those of folds 1 to 8 are used. Started again, it goes on
# from where it stopped. Settings by environment: EPOCHS (40), PRESET (tiny), MIN_COUNT (5), DEVICE (auto).
set -eu
folder=$1 out=$2 reports=${3:-}
epochs=${EPOCHS:-40} preset=${PRESET:-tiny} fewest=${MIN_COUNT:-5} device=${DEVICE:-auto}
store=$out/ptbxl.zarr
mkdir -p "$out"

[ -d "$store" ] || ecgkit ingest "$folder" --out "$store"
[ -d "$store/knowledge/labels" ] || ecgkit extract-knowledge "$store" --keep-children --min-count "$fewest"

corpus=
if [ -n "$reports" ]; then
    corpus=$out/reports-of-training-folds.csv
    python - "$reports" "$corpus" <<'PYTHON'
import sys

import pandas as pd

table = pd.read_csv(sys.argv[1])
table[table["strat_fold"] <= 8][["report"]].dropna().to_csv(sys.argv[2], index=False)
PYTHON
fi

# NAME METHOD [SETTINGS]: a training that was stopped goes on, one that is done is left alone.
train() {
    name=$1 method=$2
    shift 2
    [ -d "$out/$name" ] || ecgkit pretrain --method "$method" --preset "$preset" --data "$store" --out "$out/$name" \
        --device "$device" --epochs "$epochs" ${corpus:+--set "text.corpus=$corpus"} "$@"
}

train kmerl kmerl
train merl merl
train merl-masked merl --set dlm_prob=1

for name in kmerl merl merl-masked; do
    [ -f "$out/$name.probed" ] && continue
    ecgkit probe "$out/$name" --data "$store" --task ptbxl-super --head zero-shot --leads 12 --leads 6 --leads 3 --leads I --leads II --device "$device"
    touch "$out/$name.probed"
done
ecgkit report "$out" --out "$out/report.html"
