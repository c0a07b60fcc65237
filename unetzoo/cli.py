"""``unetzoo ...``: the zoo on the command line."""

import click

from unetzoo import registry
from unetzoo.console import run


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


def main() -> None:
    """The entry point."""
    run(cli)
