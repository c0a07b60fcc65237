"""unetzoo: the published U-Nets in Keras 3, to the last parameter.

A network: ``list_models`` names them, ``card`` says what is known of one (a ``Card``), ``build``
makes it, ``skeleton`` makes it without weights, ``copy_weights`` carries weights over, and
``load_model`` reads a saved one. Keras is imported by the first of these that needs it.

``training``: ``compile_model`` makes a network ready for ``fit``
``losses``, ``metrics``, ``callbacks``: for ``fit``, each also on its own
``data``: files in, patches out: data sets, volumes, preparation, augmentation
``planning``, ``plan``: what to train on a data set, by the rules of nnU-Net
``pipeline``: a folder of scans from training to scores, as the commands do it: ``train``, ``Run``
``cross_validate``: all folds of a data set in turn, and the scores of cases that they did not see
``inference``: from a network to a mask; ``load_predictor`` does it from the folder of a run
``interop``: weights that other programs have trained, out of their files; ``load_weights`` gives
those of a PyTorch network to ours
``export``: a run's network as ONNX, OpenVINO, LiteRT, SavedModel or .keras, or for nnU-Net
``evaluation``, ``visualization``: how good a mask is, and how it looks
``models``, ``blocks``, ``layers``: the networks, one module each, and what they are made of

Another package, ``audit``, reads, prints and compares networks as tables. The commands are
``unetzoo`` and ``unetzoo-audit``.

>>> import unetzoo
>>> unetzoo.list_models("unet2d*")[0]
'unet2d_large'
>>> model = unetzoo.build("unet2d_small", input_shape=(64, 64, 1), num_classes=2)
>>> model = unetzoo.training.compile_model(model)  # and model.fit(images, labels)
"""

from unetzoo.cards import Card
from unetzoo.registry import build, card, list_models, skeleton
from unetzoo.saving import copy_weights, load_model
from unetzoo.utils.kernels import choose_kernels
from unetzoo.utils.lazy import lazy
from unetzoo.utils.registration import register_with_keras
from unetzoo.utils.waiting import wait_briefly

__all__ = [
    "Card",
    "build",
    "card",
    "copy_weights",
    "cross_validate",
    "export",
    "list_models",
    "load_model",
    "load_predictor",
    "load_weights",
    "plan",
    "skeleton",
]
__version__ = "0.1.0"

choose_kernels()
wait_briefly()
register_with_keras()

__getattr__, __dir__ = lazy(
    __name__,
    {
        "cross_validate": "unetzoo.pipeline.cross_validation:cross_validate",
        "export": "unetzoo.pipeline.export:export",
        "load_predictor": "unetzoo.pipeline.loading:load_predictor",
        "load_weights": "unetzoo.interop.pytorch:load_weights",
        "plan": "unetzoo.planning.dataset:plan_dataset",
    },
    ["blocks", "callbacks", "data", "evaluation", "inference", "interop", "layers", "losses",
     "metrics", "models", "pipeline", "planning", "training", "visualization"],
)  # fmt: skip
