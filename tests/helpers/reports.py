"""What the tests of the report share: its pages and tables, made once, and a hostile table."""

from functools import cache
from pathlib import Path

import audit
import unetzoo
from audit.html_report import report
from audit.tables import Row, Table

DOCUMENTS = Path(audit.__file__).parent / "documents"
TEXTS = sorted(path.name for path in DOCUMENTS.iterdir() if path.suffix in (".txt", ".md"))
HOSTILE = "<script>alert(1)</script>"
VARIANTS = [name for name in unetzoo.list_models() if not name.startswith(("unet2d", "unet3d"))]

page_of = cache(report)
table_of = cache(audit.as_table)


def hostile():
    rows = (
        Row("in", "InputLayer", (None, 8, 8, 1)),
        Row(HOSTILE, "Conv2D", (None, 8, 8, 4), {"kernel": 36}, inputs=("in[0][0]",)),
        Row('"><b>', "</template><script>alert(2)</script>", (None, 8, 8, 4), inputs=(HOSTILE,)),
    )
    return Table(HOSTILE, rows, style="</style>", repairs=("<i>",))
