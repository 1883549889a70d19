#!/usr/bin/env bash
# Pretraining on several machines with torchrun (python -m torch.distributed.run). Run it on each, with the same HOST (the first of them):
#   NODES=2 GPUS=8 HOST=node1:29500 ./two-nodes.sh --method stmem --preset base --data STORE --out runs/stmem
# All machines must see STORE and the folder of --out under the same path.
# With RESTARTS=3 a process that fails is started again up to three times, and all go on from the last checkpoint. To
# go on later, give --resume runs/stmem instead of what describes the training.
set -euo pipefail

python -m torch.distributed.run \
  --nnodes "${NODES:-1}" \
  --nproc-per-node "${GPUS:-1}" \
  --rdzv-backend c10d \
  --rdzv-endpoint "${HOST:-localhost:0}" \
  --max-restarts "${RESTARTS:-0}" \
  -m ecgkit pretrain "$@"
