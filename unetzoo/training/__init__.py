"""Around ``fit``: starting weights, compiling, optimizers, checkpoints and the history."""

from unetzoo.utils.lazy import lazy

_NAMES = {
    "compile_model": "unetzoo.training.compile:compile_model",
    "distribute": "unetzoo.training.distribution:distribute",
    "freeze": "unetzoo.training.freezing:freeze",
    "init_weights": "unetzoo.training.initial:init_weights",
    "InitReport": "unetzoo.training.initial:InitReport",
    "loss_weights": "unetzoo.training.compile:loss_weights",
    "make_optimizer": "unetzoo.training.compile:make_optimizer",
    "rematerialize": "unetzoo.training.remat:rematerialize",
    "ShowEpochs": "unetzoo.training.epochs:ShowEpochs",
    "SGD": "unetzoo.training.optimizers:SGD",
    "Adam": "unetzoo.training.optimizers:Adam",
}
__all__ = [
    "SGD",
    "Adam",
    "InitReport",
    "ShowEpochs",
    "compile_model",
    "distribute",
    "freeze",
    "init_weights",
    "loss_weights",
    "make_optimizer",
    "rematerialize",
]
__getattr__, __dir__ = lazy(__name__, _NAMES, [])
