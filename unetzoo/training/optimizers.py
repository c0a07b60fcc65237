"""Keras's Adam and SGD, with one operation per variable on TensorFlow and on PyTorch's CPU.

Keras's Adam takes about forty operations per variable. They are half of the graph that TensorFlow
makes before the first step of a network, and each is a pass over memory in every step; on PyTorch
they hold three more copies of all weights. Both have the same update as a single operation. Where
nothing is gained ``adam`` and ``sgd`` give Keras's own.
"""

import math
from functools import partial
from typing import Any

import keras

TENSORFLOW = keras.backend.backend() == "tensorflow"
TORCH = keras.backend.backend() == "torch"


@keras.saving.register_keras_serializable(package="unetzoo")
class Adam(keras.optimizers.Adam):
    """Keras's Adam, equal up to rounding.

    Args: as in ``keras.optimizers.Adam``.
    Source: TensorFlow's ``ResourceApplyAdam``; ``torch.optim.adam.adam``.

    >>> weight = keras.Variable([1.0, 2.0])
    >>> Adam(0.1).apply([keras.ops.array([1.0, -1.0])], [weight])
    >>> [round(float(value), 3) for value in weight.numpy()]
    [0.9, 2.1]
    """

    _update: Any = None  # the operation, with this step's rates

    def apply(self, grads: Any, trainable_variables: Any = None) -> None:
        if TENSORFLOW and not self.amsgrad:
            self._update = self._of_step()
        super().apply(grads, trainable_variables)
        self._update = None  # its tensors belong to a graph

    def _of_step(self) -> Any:
        import tensorflow as tf

        step = tf.cast(self.iterations + 1, "float32")
        beta_1, beta_2 = tf.constant(self.beta_1), tf.constant(self.beta_2)
        return partial(
            tf.raw_ops.ResourceApplyAdam,
            beta1_power=tf.pow(beta_1, step),
            beta2_power=tf.pow(beta_2, step),
            lr=tf.cast(self.learning_rate, "float32"),
            beta1=beta_1,
            beta2=beta_2,
            epsilon=tf.constant(self.epsilon),
        )

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        index = self._get_variable_index(variable)
        moments = self._momentums[index], self._velocities[index]
        is_sparse = TENSORFLOW and hasattr(gradient, "indices")  # of an embedding
        if self._update is not None and variable.dtype == "float32" and not is_sparse:
            first, second = (moment.value.handle for moment in moments)
            self._update(var=variable.handle, m=first, v=second, grad=gradient)
        elif _torch_has_it(variable) and not self.amsgrad:
            self._apply_on_torch(gradient, variable, learning_rate, *moments)
        else:
            super().update_step(gradient, variable, learning_rate)

    def _apply_on_torch(self, gradient: Any, variable: Any, rate: Any, *moments: Any) -> None:
        """PyTorch adds epsilon after it has corrected the second moment, Keras before."""
        import torch
        from torch.optim.adam import adam as update

        step = int(self.iterations)
        with torch.no_grad():
            weight, slope, first, second = _in_one_order(variable, gradient, *moments)
            update(
                [weight], [slope], [first], [second], [], [torch.tensor(float(step))],
                fused=True, amsgrad=False, maximize=False,
                beta1=self.beta_1, beta2=self.beta_2, lr=float(rate), weight_decay=0.0,
                eps=self.epsilon / math.sqrt(1 - self.beta_2 ** (step + 1)),
            )  # fmt: skip


@keras.saving.register_keras_serializable(package="unetzoo")
class SGD(keras.optimizers.SGD):
    """Keras's SGD, equal up to rounding; on request with PyTorch's weight decay and momentum.

    Keras takes ``rate * decay * weight`` off each weight, beside the step. PyTorch, and so nnU-Net,
    adds ``decay * weight`` to the gradient, where the momentum sums it up: with a momentum of 0.99
    that is a hundred times as much.

    Keras's momentum sums up steps, each with the learning rate of its time; PyTorch's sums up
    gradients, and the step is that sum times the rate of now. The two differ where the rate falls
    as fast as the momentum forgets: after a few hundred steps with a momentum of 0.99, Keras's
    steps are still large where PyTorch's network settles.

    Args: as in ``keras.optimizers.SGD``, and
        coupled: whether ``weight_decay`` is PyTorch's.
        late_rate: whether ``momentum`` is PyTorch's.

    Source: TensorFlow's ``ResourceApplyKerasMomentum`` and ``ResourceApplyMomentum``;
    ``torch.optim.sgd.sgd``.

    >>> weight = keras.Variable([1.0, 2.0])
    >>> SGD(0.1, momentum=0.9).apply([keras.ops.array([1.0, -1.0])], [weight])
    >>> [round(float(value), 3) for value in weight.numpy()]
    [0.9, 2.1]
    """

    def __init__(
        self, *args: Any, coupled: bool = False, late_rate: bool = False, **arguments: Any
    ):
        super().__init__(*args, **arguments)
        self.coupled = coupled
        self.late_rate = late_rate

    def get_config(self) -> dict[str, Any]:
        own = {name: True for name in ("coupled", "late_rate") if getattr(self, name)}
        return {**super().get_config(), **own}

    def _apply_weight_decay(self, variables: Any) -> None:  # after the gradients are clipped
        if not self.coupled:
            super()._apply_weight_decay(variables)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        if self.late_rate and self.momentum and _torch_has_it(variable):
            self._apply_on_torch(gradient, variable, learning_rate)
            return
        if self.coupled and self.weight_decay:
            decay = keras.ops.cast(self.weight_decay, variable.dtype)
            gradient = keras.ops.convert_to_tensor(gradient, variable.dtype) + decay * variable
        if self.momentum == 0 or not (TENSORFLOW or self.late_rate):
            super().update_step(gradient, variable, learning_rate)
        elif TENSORFLOW:
            self._apply_at_once(gradient, variable, learning_rate)
        else:
            self._apply_late(gradient, variable, learning_rate)

    def _apply_at_once(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        import tensorflow as tf

        dtype, operations = variable.dtype, tf.raw_ops
        late = self.late_rate
        apply = operations.ResourceApplyMomentum if late else operations.ResourceApplyKerasMomentum
        apply(
            var=variable.handle,
            accum=self.momentums[self._get_variable_index(variable)].value.handle,
            lr=tf.cast(learning_rate, dtype),
            grad=tf.cast(gradient, dtype),
            momentum=tf.constant(self.momentum, dtype),
            use_nesterov=self.nesterov,
        )

    def _apply_on_torch(self, gradient: Any, variable: Any, rate: Any) -> None:
        import torch
        from torch.optim.sgd import sgd as update

        total = self.momentums[self._get_variable_index(variable)]
        with torch.no_grad():
            weight, slope, moment = _in_one_order(variable, gradient, total)
            update(
                [weight], [slope], [moment], fused=True, maximize=False, dampening=0.0,
                momentum=self.momentum, nesterov=self.nesterov, lr=float(rate),
                weight_decay=(self.coupled and self.weight_decay) or 0.0,
            )  # fmt: skip

    def _apply_late(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        rate, gradient = (
            keras.ops.cast(value, variable.dtype) for value in (learning_rate, gradient)
        )
        total = self.momentums[self._get_variable_index(variable)]
        self.assign(total, self.momentum * total + gradient)
        ahead = gradient + self.momentum * total if self.nesterov else total
        self.assign_sub(variable, rate * ahead)


def _torch_has_it(variable: Any) -> bool:
    """Whether PyTorch has the update as a single operation, of numbers without gaps in memory."""
    if not TORCH or variable.dtype != "float32" or variable.value.device.type != "cpu":
        return False
    import torch

    if torch.compiler.is_compiling():  # it joins Keras's operations itself
        return False
    return torch.empty_like(variable.value, device="meta").stride() == variable.value.stride()


def _in_one_order(variable: Any, gradient: Any, *moments: Any) -> list[Any]:
    """The numbers of a weight, its gradient and its moments, in the order of the weight in memory.

    PyTorch's single operations copy what is not contiguous.
    """
    import torch

    weight = variable.value
    for moment in moments:
        if moment.value.stride() != weight.stride():
            moment.value.data = torch.empty_like(weight).copy_(moment.value)
    gradient = keras.ops.convert_to_tensor(gradient, variable.dtype)
    if gradient.stride() != weight.stride():
        gradient = torch.empty_like(weight).copy_(gradient)
    each = [weight, gradient, *(moment.value for moment in moments)]
    return [x.as_strided((x.numel(),), (1,)) for x in each]


@keras.saving.register_keras_serializable(package="unetzoo")
class ByUpdates(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule of updates where each takes several batches; Keras counts batches.

    Args:
        schedule: of the learning rate, by updates.
        batches: per update.

    >>> falling = keras.optimizers.schedules.PolynomialDecay(1.0, 4, 0.0)
    >>> [round(float(ByUpdates(falling, 2)(batch)), 2) for batch in range(5)]
    [1.0, 1.0, 0.75, 0.75, 0.5]
    """

    def __init__(self, schedule: Any, batches: int):
        self.schedule, self.batches = schedule, batches

    def __call__(self, step: Any) -> Any:
        return self.schedule(keras.ops.floor_divide(step, self.batches))

    def get_config(self) -> dict[str, Any]:
        schedule = keras.optimizers.schedules.serialize(self.schedule)
        return {"schedule": schedule, "batches": self.batches}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "ByUpdates":
        schedule = keras.optimizers.schedules.deserialize(config["schedule"])
        return cls(schedule, config["batches"])


def adam(learning_rate: Any = 1e-4, **arguments: Any) -> keras.optimizers.Optimizer:
    """The fastest Adam on this backend.

    Args: as in ``keras.optimizers.Adam``.

    >>> isinstance(adam(), keras.optimizers.Adam)
    True
    """
    on_cpu = TORCH and keras.ops.zeros(1).device.type == "cpu"
    return (Adam if TENSORFLOW or on_cpu else keras.optimizers.Adam)(learning_rate, **arguments)


def sgd(learning_rate: Any = 1e-2, **arguments: Any) -> keras.optimizers.Optimizer:
    """The fastest SGD on this backend.

    Args: as in ``SGD``.

    >>> isinstance(sgd(momentum=0.9), keras.optimizers.SGD)
    True
    """
    own = TENSORFLOW or arguments.get("coupled") or arguments.get("late_rate")
    return (SGD if own else keras.optimizers.SGD)(learning_rate, **arguments)
