#!/bin/bash
#SBATCH --array=0-15
#SBATCH --cpus-per-task=2
# A data set prepared by 16 jobs, each of 2 processes, with the plan of its network:
#     sbatch examples/slurm_prepare.sh DIR CACHE
#     unetzoo status CACHE
# All machines see the same folders. A job begins with its share of the cases, and goes on with what
# the others have not begun. Submit it again to go on after a stop. The training then prepares nothing:
#     unetzoo train --data DIR --plan CACHE/plan.json --cache CACHE --out RUN

export OMP_NUM_THREADS=1
data=$1 cache=$2
shift 2
unetzoo prepare "$data" --out "$cache" --shard slurm --workers "${SLURM_CPUS_PER_TASK:-1}" "$@"
