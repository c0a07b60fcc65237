"""Layouts of data sets on disk: ``find_dataset`` lists the cases without reading an image."""

from unetzoo.data.datasets.case import Case, Dataset
from unetzoo.data.datasets.detection import find_dataset, layout_of

__all__ = ["Case", "Dataset", "find_dataset", "layout_of"]
