"""One module a published format. Where two read the same lines, the first here is believed."""

from importlib import import_module

for _name in (
    "keras3", "torchinfo", "torchsummary", "modelsummary", "keras2", "keras2_wrapped", "torchrepr",
    "markdown", "plain",
):  # fmt: skip
    import_module(f"audit.formats.{_name}")  # each registers its styles
