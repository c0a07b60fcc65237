"""Every documented statement, measured on the built networks."""

from importlib import import_module

from audit.documents.statement import STATEMENTS, Network, Statement, Verdict

for _name in ("repositories", "textbook_2d", "textbook_3d", "papers"):
    import_module(f"audit.documents.{_name}")  # each puts its statements on the list


def check(name: str | None = None) -> list[Verdict]:
    """Measure every documented statement, or those of one network.

    Args:
        name: the id of a network; None for all statements.

    Raises:
        ValueError: if the network has no statements.

    >>> [verdict.verdict for verdict in check("unet3d_90m")]
    ['confirmed', 'confirmed', 'confirmed', 'contradicted']
    """
    return [_verdict(statement) for statement in statements(name)]


def statements(name: str | None = None) -> list[Statement]:
    """What the documents state about all networks, or about one. Nothing is built.

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


def _verdict(statement: Statement) -> Verdict:
    finding = statement.measure(Network(statement.network))
    return Verdict(
        statement.network,
        statement.id,
        finding.verdict,
        statement.stated,
        finding.measured,
        finding.reason,
        finding.verdict == statement.on_record,
    )
