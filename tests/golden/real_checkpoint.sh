#!/bin/sh
# real_checkpoint.sh PROGRAM GOLDEN: real weights give the reference's outputs. Skipped
# where tools/real-checkpoint has not been run.
set -eu
program=$1 golden=$2
root=${MLDYNO_CHECKPOINTS:-${MLDYNO_PREFIX:-prefix}/share/checkpoints}
folder=$root/$(basename "$golden" .json)
if [ ! -f "$folder/model.safetensors" ]; then
    echo "# SKIP no checkpoint in '$folder': run tools/real-checkpoint"
    exit 77
fi
"$program" verify --checkpoint "$folder" "$golden"
