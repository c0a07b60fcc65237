"""``unetzoo ...``: the zoo on the command line."""

from pathlib import Path

import click

from unetzoo import registry
from unetzoo.console import load_keras, run


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="unetzoo")
def cli() -> None:
    """The published U-Nets in Keras 3, to the last parameter."""


@cli.command("list")
@click.argument("pattern", default="*")
def list_models(pattern: str) -> None:
    """List the networks whose id contains PATTERN, or matches it (3d, unet2d_t*)."""
    names = registry.list_models(pattern)
    if not names:
        known = ", ".join(registry.list_models())
        raise ValueError(f"pattern {pattern!r}: expected one that matches a network of {known}.")
    for name in names:
        card = registry.card(name)
        click.echo(f"{name:<16} {card.parameters:>11,} parameters  {card.source}")


@cli.command()
@click.argument("name")
def card(name: str) -> None:
    """Show what is documented of the network NAME, and what is assumed."""
    click.echo(registry.card(name))


@cli.command()
@click.option(
    "-o", "--out", "folder", default="unetzoo-demo", show_default=True,
    type=click.Path(file_okay=False, path_type=Path), help="Folder for the files.",
)  # fmt: skip
@click.option("--epochs", default=25, show_default=True, type=click.IntRange(1))
def demo(folder: Path, epochs: int) -> None:
    """Train a 3D network on a brain template, offline and in minutes, and look at the result.

    Started again after it was stopped, it goes on from its last epoch.
    """
    load_keras()
    from unetzoo.demo import run as run_demo

    run_demo(folder, epochs)


def main() -> None:
    """The entry point."""
    run(cli)
