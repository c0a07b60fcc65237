"""Trained networks from other programs."""

from unetzoo.utils.lazy import lazy

_NAMES = {
    "load_nnunet": "unetzoo.interop.nnunet:load_nnunet",
    "load_weights": "unetzoo.interop.pytorch:load_weights",
    "read_state_dict": "unetzoo.interop.torch_files:read_state_dict",
    "read_torch": "unetzoo.interop.torch_files:read_torch",
}
__all__ = ["load_nnunet", "load_weights", "read_state_dict", "read_torch"]
__getattr__, __dir__ = lazy(__name__, _NAMES, [])
