"""``python -m audit ...`` and ``unetzoo-audit ...``."""

import json
import sys
from typing import Any

import click

from audit.sources import as_table
from unetzoo.console import ShapeType, load_keras, run

STYLES = ("markdown", "torchsummary", "keras2", "torchrepr")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="unetzoo")
def cli() -> None:
    """Read, print and compare the summaries of networks."""


@cli.command()
@click.argument("model", metavar="NAME|FILE.keras")
@click.option("--style", type=click.Choice(STYLES), default="markdown", show_default=True)
@click.option("--input-shape", type=ShapeType(), help="Channels last, such as 64,64,64,1.")
@click.option("--num-classes", type=int, help="Channels of the output.")
def table(
    model: str, style: str, input_shape: tuple[int | None, ...] | None, num_classes: int | None
) -> None:
    """Print the table of a network of the zoo, or of the model in a .keras file."""
    given = {"input_shape": input_shape, "num_classes": num_classes}
    arguments = {key: value for key, value in given.items() if value is not None}
    click.echo(audit_table(model, arguments).to_text(style))


@cli.command()
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@click.option("--json", "as_json", is_flag=True, help="The whole diff for machines.")
def diff(first: str, second: str, as_json: bool) -> None:
    """Compare two networks: ids of the zoo, .keras files, or texts with a published summary.

    Exits with 0 if they are the same, 1 if they differ.
    """
    load_keras()
    import audit

    result = audit.diff(first, second)
    click.echo(result.to_json() if as_json else result)
    sys.exit(0 if result.same else 1)


@cli.command()
@click.argument("first", metavar="A")
@click.argument("second", metavar="[B]", required=False)
@click.option("--count", type=int, help="A published number for A, instead of B.")
@click.option("--json", "as_json", is_flag=True, help="The causes for machines.")
def explain(first: str, second: str | None, count: int | None, as_json: bool) -> None:
    """Attribute the difference of two counts to causes that add up to it; or explain a number.

    A and B are ids of the zoo, .keras files, or texts with a published summary.
    """
    load_keras()
    import audit

    result = audit.explain(first, second, count=count)
    click.echo(result.to_json() if as_json else result)


@cli.command()
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="A list of objects for machines.")
def check(names: tuple[str, ...], as_json: bool) -> None:
    """Measure what the documents state of the networks NAME, or of all, and give verdicts.

    Exits with 0 if every verdict is the one on record, 1 if one has changed.
    """
    load_keras()
    import audit

    verdicts = [verdict for name in names or (None,) for verdict in audit.check(name)]
    if as_json:
        click.echo(json.dumps([verdict.to_dict() for verdict in verdicts], indent=2))
    else:
        click.echo("\n".join(str(verdict) for verdict in verdicts))
    sys.exit(0 if all(verdict.as_recorded for verdict in verdicts) else 1)


def audit_table(model: str, arguments: dict[str, Any]) -> Any:
    """The table of a zoo id, built without weights, or of a ``.keras`` file."""
    load_keras()
    import audit
    import unetzoo

    if not model.endswith(".keras"):
        return audit.table(unetzoo.skeleton(model, **arguments))
    if arguments:
        raise ValueError(
            f"{model}: a saved model has its shape and classes; leave out "
            f"{' and '.join('--' + key.replace('_', '-') for key in arguments)}."
        )
    return as_table(model)


def main() -> None:
    """The entry point."""
    run(cli)
