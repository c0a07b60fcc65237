"""Files in, patches out: data sets, volumes and pictures, preparation, augmentation.

In this order: ``datasets`` lists the cases of a folder, ``io`` reads their files, ``preprocessing``
crops, normalizes and resamples them (``prepare_cases`` does it for all, on disk), ``augmentation``
varies them, and ``patches`` cuts what ``fit`` takes.
"""

from unetzoo.utils.lazy import lazy

_NAMES = {
    "Augmentation": "unetzoo.data.augmentation:Augmentation",
    "Case": "unetzoo.data.datasets:Case",
    "Dataset": "unetzoo.data.datasets:Dataset",
    "find_dataset": "unetzoo.data.datasets:find_dataset",
    "LabelScheme": "unetzoo.data.labels:LabelScheme",
    "PatchDataset": "unetzoo.data.patches:PatchDataset",
    "Sample": "unetzoo.data.sample:Sample",
    "folds": "unetzoo.data.splits:folds",
    "read_splits": "unetzoo.data.splits:read_splits",
    "Volume": "unetzoo.data.io.volumes:Volume",
    "read_image": "unetzoo.data.io.volumes:read_image",
    "read_labels": "unetzoo.data.io.volumes:read_labels",
    "write_image": "unetzoo.data.io.volumes:write_image",
    "write_labels": "unetzoo.data.io.volumes:write_labels",
    "boundary_weights": "unetzoo.data.preprocessing.boundary:boundary_weights",
    "prepare_cases": "unetzoo.data.preprocessing.cache:prepare_cases",
    "Preparation": "unetzoo.data.preprocessing.preparation:Preparation",
    "preparation_for": "unetzoo.data.preprocessing.preparation:preparation_for",
    "Survey": "unetzoo.data.preprocessing.survey:Survey",
    "verify_dataset": "unetzoo.data.preprocessing.survey:verify_dataset",
}
__all__ = [
    "Augmentation",
    "Case",
    "Dataset",
    "LabelScheme",
    "PatchDataset",
    "Preparation",
    "Sample",
    "Survey",
    "Volume",
    "boundary_weights",
    "find_dataset",
    "folds",
    "preparation_for",
    "prepare_cases",
    "read_image",
    "read_labels",
    "read_splits",
    "verify_dataset",
    "write_image",
    "write_labels",
]
__getattr__, __dir__ = lazy(__name__, _NAMES, ["synthetic", "tfds"])
