"""``python -m audit.documents``: rewrite the tables of docs/explanation/statements.md."""

from pathlib import Path

from audit.documents.check import check
from audit.documents.page import page
from unetzoo.utils.console import load_keras
from unetzoo.utils.files import replacing

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "statements.md"

load_keras("building every network")
with replacing(PAGE) as beside:
    beside.write_text(page(PAGE.read_text(encoding="utf-8"), check()), encoding="utf-8")
