"""Every documented statement, measured anew."""

from importlib import import_module

from audit.documents.statement import STATEMENTS, Network, Statement, Verdict

for _name in ("repositories", "textbook_2d", "textbook_3d", "papers"):
    import_module(f"audit.documents.{_name}")  # each puts its statements on the list


def check(name: str | None = None) -> list[Verdict]:
    """Measure every documented statement, or those of one network.

    Raises: ValueError for a network without statements.

    >>> [verdict.verdict for verdict in check("unet3d_90m")]
    ['confirmed', 'confirmed', 'confirmed', 'contradicted']
    """
    return [_verdict(each) for each in statements(name)]


def statements(name: str | None = None) -> list[Statement]:
    """What the documents state of all networks, or of one. Nothing is built.

    Raises: ValueError for a network without statements.

    >>> [each.id for each in statements("unet3d-90m")]
    ['S1.1', 'S1.2', 'S1.3', 'S1.4']
    """
    key = str(name).replace("-", "_")
    wanted = [s for s in STATEMENTS if name is None or s.network == key]
    if not wanted:
        networks = ", ".join(sorted({s.network for s in STATEMENTS}))
        raise ValueError(f"network {name!r}: expected one with statements: {networks}.")
    return wanted


def _verdict(each: Statement) -> Verdict:
    found = each.measure(Network(each.network))
    return Verdict(
        each.network,
        each.id,
        found.verdict,
        each.stated,
        found.measured,
        found.reason,
        found.verdict == each.on_record,
    )
