"""Around ``fit``: compiling, optimizers, checkpoints and the history."""

from unetzoo.utils.lazy import lazy

_NAMES = {
    "compile_model": "unetzoo.training.compile:compile_model",
    "loss_weights": "unetzoo.training.compile:loss_weights",
    "make_optimizer": "unetzoo.training.compile:make_optimizer",
    "ShowEpochs": "unetzoo.training.epochs:ShowEpochs",
    "SGD": "unetzoo.training.optimizers:SGD",
    "Adam": "unetzoo.training.optimizers:Adam",
}
__all__ = [
    "SGD",
    "Adam",
    "ShowEpochs",
    "compile_model",
    "loss_weights",
    "make_optimizer",
]
__getattr__, __dir__ = lazy(__name__, _NAMES, [])
