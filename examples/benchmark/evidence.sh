#!/usr/bin/env bash
# Does pretraining help? Each family until its validation loss is flat, beside its own random encoder, on real records.
#
#   PRETRAIN=OUT/stores/pretrain.zarr PTBXL=OUT/stores/ptbxl-both.zarr examples/benchmark/evidence.sh OUT
#   python examples/benchmark/evidence.py OUT
#
# The first command trains and probes; what is done is not done again, so it can run in pieces: METHODS="clear" SEEDS="0".
# The second adds the numbers to docs/evidence/*.csv and writes the tables of docs/benchmarks.md again. The stores are those
# of `ecgkit study examples/benchmark/benchmark.yaml`. A training stops when its validation loss has been flat for PATIENCE
# epochs, or after EPOCHS epochs; every 20 epochs the model is probed on the validation records.
set -euo pipefail
out=${1:?name the folder of runs and results}
pretrain=$(realpath "${PRETRAIN:?name the store to train on}") ptbxl=$(realpath "${PTBXL:?name the store of PTB-XL}")
methods=${METHODS:-clear kmerl merl hierarchical cpc simclr stmem lamae}
epochs=${EPOCHS:-100} patience=${PATIENCE:-20} seeds=${SEEDS:-0}
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$out/runs" "$out/results" "$out/logs" "$out/independent"
cd "$out"

# train NAME METHOD SEED: a run that is there stays, one that was stopped goes on.
train() {
  local name=$1 method=$2 seed=$3 data=$pretrain more=()
  [ -d "runs/$name" ] && return
  [ "$method" = hierarchical ] && { data=$ptbxl; more=(--task ptbxl-super); }
  if [ -d "runs/$name.partial" ]; then set -- --resume "runs/$name"; else
    set -- --method "$method" --preset tiny --data "$data" "${more[@]}" --seed "$seed" --epochs "$epochs" \
      --set recipe.warmup_epochs=5 --set "recipe.patience=$patience" --workers 0 --out "runs/$name" \
      --probe-task ptbxl-super --probe-data "$ptbxl" --probe-every 20
  fi
  ecgkit pretrain "$@" >"logs/$name.txt" 2>&1
}

# probe NAME MODEL...: 1, 10 and 100 % of the labels, three draws each.
probe() {
  local name=$1
  shift
  [ -e "results/$name/done" ] && return
  rm -rf "results/$name"
  ecgkit probe "$@" --task ptbxl-super --data "$ptbxl" --fraction 1,10,100 --seeds 3 --out "results/$name" \
    >"logs/probe-$name.txt" 2>&1
  touch "results/$name/done"
}

# check NAME: the score with all labels once more, by scikit-learn alone, from features that were written to a file.
check() {
  local result
  [ -s "independent/$1.txt" ] && return
  result=$(find "results/$1" -name row.json -not -path "*-fraction-*" -printf "%h\n" | head -1)
  ecgkit embed "runs/$1" --data "$ptbxl" --columns labels --out "independent/$1.parquet" --overwrite >"logs/embed-$1.txt" 2>&1
  python "$here/../../benchmarks/independent_probe.py" "independent/$1.parquet" "$result" "$here/../../ecgkit/tasks/ptbxl-super.yaml" \
    >"independent/$1.txt"
}

for seed in $seeds; do
  for method in $methods; do
    [ -n "${PROBE_ONLY:-}" ] || train "$method-s$seed" "$method" "$seed"
    [ ! -d "runs/$method-s$seed" ] || { probe "$method-s$seed" "runs/$method-s$seed"; check "$method-s$seed"; }
    probe "$method-random" --method "$method" --preset tiny --random-init
  done
done
