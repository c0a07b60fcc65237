"""From a trained network to a mask: sliding windows, fused norms, clean-up of masks."""

from unetzoo.utils.lazy import lazy

_NAMES = {
    "for_prediction": "unetzoo.inference.fusing:for_prediction",
    "fuse": "unetzoo.inference.fusing:fuse",
    "keep_components": "unetzoo.inference.postprocessing:keep_components",
    "largest_component": "unetzoo.inference.postprocessing:largest_component",
    "classes_of": "unetzoo.inference.windows:classes_of",
    "positions": "unetzoo.inference.windows:positions",
    "segment": "unetzoo.inference.windows:segment",
    "sliding_window": "unetzoo.inference.windows:sliding_window",
    "sliding_window_slabs": "unetzoo.inference.windows:sliding_window_slabs",
}
__all__ = [
    "classes_of",
    "for_prediction",
    "fuse",
    "keep_components",
    "largest_component",
    "positions",
    "segment",
    "sliding_window",
    "sliding_window_slabs",
]
__getattr__, __dir__ = lazy(__name__, _NAMES, [])
