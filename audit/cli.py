"""``python -m audit ...`` and ``unetzoo-audit ...``."""

import json
import os
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import click

from audit.sources.resolve import as_table, ready, zoo_id, zoo_table
from audit.styles import STYLES
from unetzoo import __version__
from unetzoo.utils.console import ShapeType, load_keras, run, say
from unetzoo.utils.files import check_writable


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def cli() -> None:
    """Read, print and compare the summaries of networks."""


@cli.command()
@click.argument("model", metavar="NAME|FILE")
@click.option("--style", type=click.Choice(list(STYLES)), default="markdown", show_default=True)
@click.option("--input-shape", type=ShapeType(), help="Channels last, such as 64,64,64,1.")
@click.option("--num-classes", type=int, help="Channels of the output.")
@click.option("--width", type=int, help="Characters in a line of Keras 3's table.")
def table(
    model: str,
    style: str,
    input_shape: tuple[int | None, ...] | None,
    num_classes: int | None,
    width: int | None,
) -> None:
    """Print the table of a network: an id of the zoo, a file of one, or a text with a summary.

    Files are .keras, PyTorch's weights (.pth, .pt, .ckpt, .safetensors), .onnx, .tflite, and of
    nnU-Net plans.json, a trained folder or a zip of one.

    Repairs to a text, and rows that do not add up to its totals, are reported on stderr.
    """
    options = {"input_shape": input_shape, "num_classes": num_classes}
    arguments = {key: value for key, value in options.items() if value is not None}
    network = audit_table(model, arguments)
    for note in (*network.repairs, *network.inconsistencies()):
        say(f"{model}: {note}", err=True)
    say(network.to_text(style, width))


@cli.command()
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@click.option("--json", "as_json", is_flag=True, help="Print the whole diff as JSON.")
def diff(first: str, second: str, as_json: bool) -> None:
    """Compare two networks: whatever table takes.

    Exits with 0 if they are the same, 1 if they differ.
    """
    import audit

    ready(first, second)
    result = audit.diff(first, second)
    if as_json:
        say(result.to_json())
    else:
        from rich.console import Console

        drawn = StringIO()  # as it would be on standard output
        console = Console(file=drawn, force_terminal=Console().is_terminal, highlight=False)
        console.print(result.to_rich(), soft_wrap=True, end="")
        say(drawn.getvalue(), styled=True)
    sys.exit(0 if result.same else 1)


@cli.command()
@click.argument("first", metavar="A")
@click.argument("second", metavar="[B]", required=False)
@click.option("--count", type=int, help="A published count for A, in place of B.")
@click.option("--json", "as_json", is_flag=True, help="Print the causes as JSON.")
@click.option("--png", type=click.Path(path_type=Path), help="Draw the causes as a waterfall.")
def explain(
    first: str, second: str | None, count: int | None, as_json: bool, png: Path | None
) -> None:
    """Explain the difference of two counts by causes that add up to it, or explain one count.

    A and B are whatever table takes: ids of the zoo, files of networks, texts with a summary.
    """
    import audit
    from audit.comparison.conventions import check_search

    if png:
        if count is not None:
            raise ValueError(f"--png {png}: a count alone has no causes to draw; give B.")
        check_writable(png)
    if count is None:
        ready(first, *([second] if second else []))
    elif second is None and len(check_search(first, count).ranks) > 1:
        load_keras(f"building {first} with a head at every level")
    result = audit.explain(first, second, count=count)
    if png and isinstance(result, audit.Explanation):
        from audit.comparison.waterfall import waterfall_figure

        waterfall_figure(png, result)
    if as_json:
        for doubt in getattr(result, "doubts", ()):
            say(doubt, err=True)
    say(result.to_json() if as_json else result)


@cli.command()
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print the verdicts as JSON.")
def check(names: tuple[str, ...], as_json: bool) -> None:
    """Measure what the documents state about the networks NAME, or about all of them.

    Exits with 0 if every verdict is the one on record, 1 if one has changed.
    """
    from audit.documents.check import check as check_network
    from audit.documents.check import statements

    for name in names:
        statements(name)  # raises if it has none
    load_keras(f"building {', '.join(names) or 'every network'}")
    verdicts = [verdict for name in names or (None,) for verdict in check_network(name)]
    if as_json:
        say(json.dumps([verdict.to_dict() for verdict in verdicts], indent=2))
    else:
        say("\n".join(map(str, verdicts)))
    sys.exit(0 if all(verdict.as_recorded for verdict in verdicts) else 1)


@cli.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option("--check", is_flag=True, help="Change nothing; exit with 1 if a table is stale.")
@click.option(
    "--model",
    "models",
    metavar="NAME=MODULE:FUNCTION",
    multiple=True,
    help="A network of yours that markers call NAME, such as mine=pkg.module:build.",
)
def update(files: tuple[str, ...], check: bool, models: tuple[str, ...]) -> None:
    """Bring the tables between markers in each FILE up to date.

    A table stands between <!-- audit: table NAME --style torchsummary --> and
    <!-- audit: end -->, each on its own line; NAME is an id of the zoo, a .keras file beside
    FILE, or a name given by --model. Exits with 0, or with 1 if --check found a stale table. If
    one FILE cannot be updated, none is changed.
    """
    from audit.markers import Networks, refreshed

    if models:
        sys.path.insert(0, os.getcwd())
    networks = Networks(models)
    pages = [refreshed(Path(file), networks) for file in dict.fromkeys(files)]
    for page in pages:
        if not page.tables:
            say(f"{page.path}: no markers, such as <!-- audit: table NAME -->", err=True)
        elif check:
            say("\n".join([*page.stale, page.summary("stale (update rewrites them)")]))
        else:
            if page.stale:
                page.write()
            say(page.summary("rewritten"))
    sys.exit(1 if check and any(page.stale for page in pages) else 0)


@cli.command()
@click.argument("source", metavar="[NAME|FILE]", required=False)
@click.option("--diff", "pair", nargs=2, metavar="A B", help="Two networks side by side.")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The page.")
def report(source: str | None, pair: tuple[str, str] | None, output: Path) -> None:
    """Write a page about a network: an id of the zoo, a .keras file, or a text with a summary.

    The page is one file, readable offline: the U drawn, every layer, costs, memory and, for a
    network of the zoo, its document's statements with verdicts. Prints the page's path.
    """
    if (source is None) == (pair is None):
        raise ValueError("report: give a NAME or FILE, or else --diff A B.")
    import audit

    check_writable(output)
    if zoo_id(source):
        load_keras(f"building {source} at several sizes")
    else:
        ready(*(pair or [source]))
    first, second = pair or (source, None)
    say(audit.report(first, output, against=second))


@cli.command()
@click.argument("model", metavar="MODEL", type=click.Path(exists=True, path_type=Path))
@click.argument("images", metavar="IMAGE...", nargs=-1, required=True, type=click.Path())
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The page.")
@click.option("--labels", type=click.Path(exists=True, path_type=Path), help="The image's labels.")
def skips(model: Path, images: tuple[str, ...], output: Path, labels: Path | None) -> None:
    """Write a page on which each skip of a trained network can be switched off.

    MODEL is a .keras file, the folder of a run, or one that nnU-Net has trained; IMAGE is a
    picture or a volume, or one file for each channel. Every combination of skips is computed, at
    most 64: the sixth level and all deeper ones share a switch. The page is one file, readable
    offline, and has the Dice, boundary distance and missed objects of each mask. Prints its path.
    """
    import audit
    from unetzoo.pipeline.early import check_trained

    check_writable(output)
    check_trained(model)
    load_keras(f"switching the skips of {model}")
    say(audit.skips(model, images, output, labels=labels))


@cli.command()
@click.argument("source", metavar="FILE")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The code, a Python file.")
def rebuild(source: str, output: Path | None) -> None:
    """Build a published table back into a network, and print the code that builds it.

    With -o the code goes into a file, and how the network's table compares with the published one
    is printed; else that goes to stderr. Exits with 0 if every row is the same, 1 if not.
    """
    import audit
    from audit.sources.resolve import as_table
    from unetzoo.utils.files import replacing

    if output:
        check_writable(output)
    ready(source)
    published = as_table(source)
    load_keras(f"building {source}")
    result = audit.rebuild(published)
    if output:
        with replacing(output) as beside:
            beside.write_text(result.code, encoding="utf-8")
        say(result)
    else:
        say(result, err=True)
        say(result.code.rstrip("\n"))
    sys.exit(0 if result.diff.same else 1)


def audit_table(model: str, arguments: dict[str, Any]) -> Any:
    """The table of a zoo id, built without weights, of a ``.keras`` file or of a text."""
    if not arguments:
        ready(model)
        return as_table(model)
    if Path(model).is_file():
        raise ValueError(
            f"{model}: only networks of the zoo take a shape and classes; leave out "
            f"{' and '.join('--' + key.replace('_', '-') for key in arguments)}."
        )
    return zoo_table(model, arguments)


def main() -> None:
    """The entry point."""
    run(cli)
