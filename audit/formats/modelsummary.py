"""pytorch-model-summary's table: torchsummary's, with the trainable parameters of each row."""

from audit.formats.pytorch import LOST, class_name, in_blocks, is_module, some_module
from audit.formats.torchsummary import printed_sizes, with_tokens
from audit.styles import Style, register
from audit.tables import Table

DEFAULT = 15  # the least characters of a column; 3 are added


def render(table: Table) -> str:
    """The table as ``summary(model, input, max_depth=None)`` prints it: every layer, no block.

    The batch size is 1, as the program takes an input of its own. Raises: ValueError where a size
    is open.
    """
    some_module(table)
    table = with_tokens(table)
    rows = [row for row in in_blocks(table.rows) if is_module(row) and row.call == 0]
    names = [f"{class_name(row)}-{number}" for number, row in enumerate(rows, 1)]
    shapes = [str([1, *printed_sizes(row, table)]) for row in rows]
    widths = [max(DEFAULT, *map(len, texts)) + 3 for texts in (names, shapes)]

    def line(*fields: str) -> str:
        name, shape, count, trainable = fields
        return f"{name:>{widths[0]}}  {shape:>{widths[1]}} {count:>15} {trainable:>15}"

    rule = 35 + sum(widths)
    counts = [(row.without_moving, min(row.trainable, row.without_moving)) for row in rows]
    total, trainable = (sum(column) for column in zip(*counts, strict=True))
    return "\n".join(
        [
            "-" * rule,
            line("Layer (type)", "Output Shape", "Param #", "Tr. Param #"),
            "=" * rule,
            *(
                line(name, shape, f"{all_:,}", f"{some:,}")
                for name, shape, (all_, some) in zip(names, shapes, counts, strict=True)
            ),
            "=" * rule,
            f"Total params: {total:,}",
            f"Trainable params: {trainable:,}",
            f"Non-trainable params: {total - trainable:,}",
            "-" * rule,
        ]
    )


register(
    Style(
        "pytorch-model-summary", "pytorch-model-summary", render,
        (*LOST, "blocks", "calls", "the network's name"),
        pytorch=True, once_a_layer=True, trainable=True,
    )
)  # fmt: skip
