"""Which network to train on a data set, and on which patches, by nnU-Net's rules."""

from unetzoo.planning.plans import Configuration, DatasetStatistics, Fingerprint, Plan
from unetzoo.planning.rules import plan
from unetzoo.planning.serialization import read_plan, write_plan
from unetzoo.utils.lazy import listed

__all__ = [
    "Configuration",
    "DatasetStatistics",
    "Fingerprint",
    "Plan",
    "plan",
    "read_plan",
    "write_plan",
]
__dir__ = listed(__name__)
