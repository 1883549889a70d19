#!/usr/bin/env bash
# Every method that trains, on one simulated cohort with one budget, beside encoders with random weights and baselines
# without deep learning: one table with one report in OUT/table.
#
#   RECORDS=20000 EPOCHS=2 SEEDS="0 1 2" examples/all-methods/table.sh OUT
#   DIFFICULTY=hard SUBSET=2000 SEEDS=0 METHODS="simclr clear" examples/all-methods/table.sh OUT    # a piece of it
#
# DIFFICULTY=hard takes a cohort that random encoders do not solve, and the classes of simulated-hard.yaml. SUBSET trains
# on fewer records; the probe still uses all. PARTS=train or PARTS=probe does one half only. FRACTIONS=1,100 also probes
# with 1 % of the labels, one draw for each seed. Rows stay in OUT/table.
# Same records, same epochs and preset `tiny` for all; a tenth of the epochs warms up. HeartLang's two stages share the
# budget of one method. What is done is never done again: run the same command to go on. Each training writes OUT/logs.
set -euo pipefail
out=${1:?name the folder of stores, runs and results}
here=$(cd "$(dirname "$0")" && pwd)
difficulty=${DIFFICULTY:-standard} subset=${SUBSET:-} parts=${PARTS:-train probe} task=simulated
[ "$difficulty" = hard ] && task=$here/simulated-hard.yaml
records=${RECORDS:-20000} epochs=${EPOCHS:-2} seeds=${SEEDS:-0 1 2} fractions=${FRACTIONS:-} device=${DEVICE:-auto}
methods=${METHODS:-simclr byol barlow_twins vicreg moco moco_v3 simsiam dino ts_tcc clocs cmsc 3kg jepa data2vec cpc \
heartlang stmem clear lamae merl kmerl hierarchical}
mkdir -p "$out/runs" "$out/logs"
cd "$out"

[ -d cohort.zarr ] || { ecgkit simulate cohort --records "$records" --difficulty "$difficulty" --overwrite; ecgkit ingest cohort --out cohort.zarr; }
ecgkit beats cohort.zarr
[ -d cohort.zarr/knowledge/labels ] || ecgkit extract-knowledge cohort.zarr --keep-children

# train NAME EPOCHS OPTIONS...: a run that is there stays, one that was stopped goes on.
train() {
  local name=$1 epochs=$2
  shift 2
  [ -d "runs/$name" ] && return
  if [ -d "runs/$name.partial" ]; then set -- --resume "runs/$name"; else
    set -- "$@" --preset tiny --data cohort.zarr --epochs "$epochs" --out "runs/$name" --device "$device" ${subset:+--subset "$subset"} \
      --set "recipe.warmup_epochs=$(awk "BEGIN {print $epochs / 10}")"
  fi
  echo "$name"
  ecgkit pretrain "$@" >"logs/$name.txt" 2>&1
}

half=$(((epochs + 1) / 2))
for seed in $seeds; do
  for method in $methods; do
    [[ $parts == *train* ]] || break
    name=$method-s$seed
    case $method in
      heartlang)
        train "tokenizer$seed" "$half" --method heartlang_tokenizer --seed "$seed"
        train "$name" "$half" --method heartlang --seed "$seed" --set "tokenizer=runs/tokenizer$seed"
        ;;
      hierarchical) train "$name" "$epochs" --method hierarchical --seed "$seed" --task "$task" ;;
      *) train "$name" "$epochs" --method "$method" --seed "$seed" ;;
    esac
  done
  # The encoders of this seed, the same ones with random weights of this seed, and the baselines.
  [[ $parts == *probe* ]] || continue
  ecgkit probe --models "runs/*-s$seed,random" --baselines --tasks "$task" --data cohort.zarr --seed "$seed" \
    --device "$device" ${fractions:+--fraction "$fractions" --seeds 1} --out table
done
[[ $parts != *probe* ]] || ecgkit report table --out table/report.html --md table/table.md --csv table/classes.csv
