"""What is known of a published network."""

import textwrap
from dataclasses import dataclass

from unetzoo.utils.sizes import Sizes


@dataclass(frozen=True)
class Card:
    """What is documented of a network, and what is assumed.

    ``ranks`` are the numbers of axes of space that it takes; ``input_shape`` has the first.
    ``arguments`` are those of its builder with their defaults, such as "num_classes=3".
    ``parameters`` is PyTorch's count, ``with_moving`` Keras's, which adds the moving statistics of
    batch norm; both are those of the network at its defaults.
    """

    name: str
    source: str
    input_shape: tuple[int, ...]
    ranks: tuple[int, ...]
    num_classes: int
    sizes: Sizes
    parameters: int
    with_moving: int
    stated: str
    assumed: tuple[str, ...]
    arguments: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [
            self.name,
            f"  source      {self.source}",
            f"  input       {' x '.join(map(str, self.input_shape))} (channels last), {self.sizes}",
            f"  classes     {self.num_classes}",
            f"  parameters  {self.parameters:,} trainable (all that PyTorch counts)",
            f"              {self.with_moving:,} with the moving statistics that Keras counts too",
            f"  stated      {self.stated}",
        ]
        if len(self.ranks) > 1:
            lines.insert(3, f"  axes        {' or '.join(map(str, self.ranks))} of space")
        joined = ", ".join(text.replace(" ", "\xa0") for text in self.arguments)
        wrapped = [line.replace("\xa0", " ") for line in textwrap.wrap(joined, 86)]
        for label, texts in (("arguments", wrapped), ("assumed", self.assumed)):
            for number, text in enumerate(texts):
                lines.append(f"  {'' if number else label:<12}{text}")
        return "\n".join(lines)
