"""The ways in which data sets lie on disk: ``find_dataset`` names the cases, and reads no image."""

from unetzoo.data.datasets.case import Case, Dataset
from unetzoo.data.datasets.detection import find_dataset, layout_of

__all__ = ["Case", "Dataset", "find_dataset", "layout_of"]
