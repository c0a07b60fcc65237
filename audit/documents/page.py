"""The page of statements: what stands between its markers is written from the verdicts."""

import re

from audit.documents.statement import Verdict

HEAD = "| id | stated | measured, and why | verdict |\n|---|---|---|---|"
TABLE = re.compile(r"<!-- statements: (\w+) -->\n.*?(?=<!-- end -->)", re.DOTALL)


def page(text: str, verdicts: list[Verdict]) -> str:
    """A page with new tables between ``<!-- statements: NETWORK -->`` and ``<!-- end -->``."""

    def table(marker: re.Match[str]) -> str:
        rows = [_row(verdict) for verdict in verdicts if verdict.network == marker[1]]
        return "\n".join([marker[0].split("\n")[0], "", HEAD, *rows, "", ""])

    return TABLE.sub(table, text)


def _row(verdict: Verdict) -> str:
    measured = [verdict.measured, verdict.reason][verdict.measured == "-" :]
    name = f'<a id="{verdict.id}"></a>{verdict.id}'
    cells = (name, verdict.stated, "<br>".join(measured), verdict.verdict.replace("_", " "))
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
