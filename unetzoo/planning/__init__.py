"""What to train on a data set, by the rules of nnU-Net."""

from unetzoo.planning.plans import Configuration, Fingerprint, Measured, Plan
from unetzoo.planning.rules import plan

__all__ = ["Configuration", "Fingerprint", "Measured", "Plan", "plan"]
