"""One module a published format. If two read the same lines, the first in this list wins."""

from importlib import import_module

for _name in (
    "keras3", "torchinfo", "gluon", "torchsummary", "modelsummary", "fastai", "keras2",
    "keras2_wrapped", "torchrepr", "markdown", "plain", "lightning", "paddle", "summaryx", "fvcore",
    "flax", "rtorch", "darknet", "matlab", "handmade",
):  # fmt: skip
    import_module(f"audit.formats.{_name}")  # each registers its styles
