#!/bin/bash
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=4
# One network trained by two machines with four GPUs each:
#     sbatch examples/slurm_train.sh DIR RUN --network unet3d_2_5m --patch 128,128,128 --batch-size 16
# All machines see the same folders. Submit it again to go on after a stop.

export KERAS_BACKEND=jax
data=$1 run=$2
shift 2
srun unetzoo train --data "$data" --out "$run" --devices all "$@"
