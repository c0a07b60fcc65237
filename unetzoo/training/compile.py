"""Losses, metrics and optimizers: what a network is compiled with."""

import math
from typing import Any

import keras

from unetzoo.layers.onednn import hasten
from unetzoo.losses import DeepSupervision, deep_supervision_weights, make_loss
from unetzoo.losses.stray_labels import tell_plainly
from unetzoo.metrics import DiceScore
from unetzoo.saving import check_weights
from unetzoo.training.checks import check_optimizer
from unetzoo.training.distribution import check_accumulation, share_statistics
from unetzoo.training.loss_scaling import leave_out_skipped, scaled
from unetzoo.training.optimizers import ByUpdates, adam, sgd
from unetzoo.training.remat import keep_few
from unetzoo.utils.checks import whole
from unetzoo.utils.choices import LOSSES, RATES
from unetzoo.utils.compiling import compiled_quickly


def compile_model(
    model: keras.Model,
    *,
    optimizer: Any = None,
    learning_rate: float = 1e-4,
    loss: Any = None,
    ignore_label: int | None = None,
    jit_compile: bool | str = "auto",
    activation: str | None = None,
    batch_dice: bool = False,
) -> keras.Model:
    """Compile a network that gives logits: Adam, Dice + cross-entropy, the Dice of each class.

    A network with one output channel is trained with a sigmoid, with several with a softmax, unless
    they are regions that lie over each other: then give "sigmoid", and labels in channels. With
    deep supervision the loss is computed at every output, weighted by ``loss_weights``, and the
    Dice at the first; ``fit`` takes the labels once, or once for each output.

    Freeze layers before you call this: the optimizer is built for the weights that are trainable
    now. On TensorFlow and a CPU, convolutions are from here on computed in another way, which is
    faster and gives the same result (``unetzoo.layers.onednn``), and of large patches maps that are
    cheap to compute again are not kept (``rematerialize``'s "activations"). A network that computes
    in float16 gets Keras's loss scaling around the optimizer; a batch that overflows changes
    nothing.

    Args:
        model: gives logits.
        optimizer: a Keras optimizer; None for Adam.
        learning_rate: of Adam; 1e-4 is the textbook chapter's (S5.7).
        loss: of ``unetzoo.losses`` or Keras, or a name of ``unetzoo.losses.make_loss``; None for
            "dice_ce", which is ``DiceCrossentropy``.
        ignore_label: a label whose voxels are ignored, or None; if a loss is given, the loss's.
        jit_compile: as in ``Model.compile``. Keras's "auto" chooses by backend and device: no XLA
            with tensorflow on a CPU, where it makes these 3D networks four times slower
            (benchmarks/step.py); XLA with jax, and with tensorflow on a GPU; eager with torch.
        activation: "softmax" or "sigmoid"; None: by the number of channels. If a loss is given,
            give the loss's.
        batch_dice: whether the Dice of the loss is that of the whole batch; if a loss is given,
            it has its own.

    Returns: the model.
    Raises: ValueError for a skeleton, for a model that ends in a softmax or a sigmoid, and for an
        ``ignore_label`` that differs from the loss's.
    Source: S5.7, S5.32.

    >>> import unetzoo
    >>> compile_model(unetzoo.build("unet2d_small", num_classes=3)).loss.activation
    'softmax'
    """
    check_weights(model)
    activations = {getattr(layer, "activation", None) for layer in _last_layers(model)}
    if activations & {keras.activations.softmax, keras.activations.sigmoid}:
        raise ValueError(
            f"model {model.name!r} gives probabilities: compile_model needs logits; build it with "
            "activation=None."
        )
    classes = model.outputs[0].shape[-1]
    activation = activation or ("sigmoid" if classes == 1 else "softmax")
    if loss is None or loss in LOSSES:
        loss = make_loss(
            loss or "dice_ce",
            activation=activation,
            ignore_label=ignore_label,
            batch_dice=batch_dice,
        )
    ignore_label = _ignored(loss, ignore_label)
    first = 1 if activation == "sigmoid" and classes > 1 else None  # as regions are numbered
    dice = DiceScore(classes, activation=activation, ignore_label=ignore_label, first_label=first)
    several = len(model.outputs) > 1
    model.compile(
        optimizer=scaled(optimizer or adam(learning_rate), model),
        loss=[DeepSupervision(loss) for _ in model.outputs] if several else loss,
        loss_weights=loss_weights(model) if several else None,
        metrics=[[dice], *[[] for _ in model.outputs[1:]]] if several else [dice],
        jit_compile=jit_compile,
    )
    build_state(model)
    return tell_plainly(keep_few(hasten(share_statistics(model))))


def _ignored(loss: Any, label: int | None) -> int | None:
    """The label that the metric ignores: the loss's if it has one, or else ``label``."""
    loss = loss.loss if isinstance(loss, DeepSupervision) else loss
    own = getattr(loss, "ignore_label", getattr(loss, "ignore_class", label))
    if label is not None and label != own:
        raise ValueError(
            f"ignore_label {label}: the loss ignores {own}; give it to the loss, and the metric "
            "ignores it too."
        )
    return own


def loss_weights(model: keras.Model) -> list[float]:
    """The weight of each output of a network in the loss; they add up to 1.

    Outputs of the same size have the same weight (UNet++). If they become smaller, each has half
    the weight of the one before, and the coarsest has none (nnU-Net).

    >>> import unetzoo
    >>> weights = loss_weights(unetzoo.skeleton("plain_unet", deep_supervision=True))
    >>> [round(weight, 3) for weight in weights]
    [0.533, 0.267, 0.133, 0.067, 0.0]
    """
    count = len(model.outputs)
    if count > 1:
        inputs = model.inputs[0].shape[1:]
        patch = [64 if size is None else size for size in inputs]
        shapes = model.compute_output_shape((1, *patch))
        if len({tuple(shape) for shape in shapes}) == 1:
            return [1 / count] * count
    return deep_supervision_weights(count)


def _last_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """The layers that give the outputs, and those that give what an output is the mean of."""
    if not model.outputs:
        return [model.layers[-1]]
    last = [output._keras_history.operation for output in model.outputs]
    means = [layer for layer in last if isinstance(layer, keras.layers.Average)]
    return last + [x._keras_history.operation for mean in means for x in mean.input]


@compiled_quickly()
def build_state(model: keras.Model) -> None:
    """Build the state of the optimizer, the loss and the metrics of a network.

    Otherwise ``fit`` does it with the first batch. TensorFlow then makes its graph twice, and jax
    and torch do not train on that batch if several workers make the batches.
    """
    if not model.optimizer.built:  # building it again would lose the loss scale of half precision
        model.optimizer.build(model.trainable_variables)
    sizes = (1,) * (len(model.outputs[0].shape) - 1)
    labels = [keras.ops.zeros(sizes, "int32") for _ in model.outputs]
    logits = [keras.ops.zeros((*sizes, output.shape[-1])) for output in model.outputs]
    several = len(model.outputs) > 1
    y, y_pred = (labels, logits) if several else (labels[0], logits[0])
    model.compute_loss(y=y, y_pred=y_pred)
    model.compute_metrics(None, y, y_pred)
    model.reset_metrics()
    leave_out_skipped(model)


def make_optimizer(
    name: str = "adam",
    *,
    learning_rate: float | None = None,
    schedule: str = "constant",
    steps: int = 1,
    clip: float | None = 12.0,
    accumulate: int = 1,
) -> keras.optimizers.Optimizer:
    """Adam or nnU-Net's SGD, with a learning rate that is constant or falls over a run.

    Args:
        name: "adam", or "sgd" (PyTorch's: momentum 0.99, Nesterov, weight decay 3e-5).
        learning_rate: at the beginning; None for 1e-4 with Adam, 1e-2 with SGD.
        schedule: "constant", "poly" (times (1 - step / steps)^0.9), "cosine" (falls to 0), or
            "step" (a tenth after each third of the run).
        steps: batches of the whole run.
        clip: largest global norm of the gradients, or None for no limit.
        accumulate: how many batches each update takes the mean gradient of, as one batch that is so
            many times as large would give it, but for batch norm; the rate falls by updates.

    Raises: ValueError for a name that is not known, a number that is not above 0, and updates by
        several batches on several devices of TensorFlow.
    Source: nnU-Net for SGD, poly and the norm of 12; S5.7 for Adam's rate.

    >>> rate = make_optimizer("sgd", schedule="poly", steps=100).learning_rate
    >>> round(float(rate), 4)
    0.01
    """
    check_optimizer(name, learning_rate, schedule, clip)
    batches = whole("accumulate", accumulate)
    check_accumulation(batches)
    rate = RATES[name] if learning_rate is None else learning_rate
    schedules = keras.optimizers.schedules
    updates = max(steps // batches, 1)
    falling: Any = {
        "constant": lambda: rate,
        "poly": lambda: schedules.PolynomialDecay(rate, updates, 0.0, power=0.9),
        "cosine": lambda: schedules.CosineDecay(rate, updates),
        "step": lambda: schedules.ExponentialDecay(
            rate, max(math.ceil(updates / 3), 1), 0.1, staircase=True
        ),
    }[schedule]()
    if batches > 1 and schedule != "constant":
        falling = ByUpdates(falling, batches)
    common = {
        "global_clipnorm": clip,
        "gradient_accumulation_steps": batches if batches > 1 else None,
    }
    if name == "adam":
        return adam(falling, **common)
    pytorch_s = {"weight_decay": 3e-5, "coupled": True, "late_rate": True}
    return sgd(falling, momentum=0.99, nesterov=True, **pytorch_s, **common)
