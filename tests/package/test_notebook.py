"""What results show in a notebook, and as pandas frames."""

import html
import subprocess
import sys

import numpy as np
import pytest

import audit
import unetzoo
from audit.tables import Row, Table
from unetzoo.evaluation import Evaluation
from unetzoo.evaluation.scores import ClassScores
from unetzoo.planning import Fingerprint

SPOILED = "<script>alert(1)</script>"
SCORES = {
    "a": [ClassScores(1, 0.5, 1 / 3, 2.0, 0.75), ClassScores(2, *[float("nan")] * 4)],
    SPOILED: [ClassScores(1, 1.0, 1.0, 0.0, 1.0), ClassScores(2, 0.0, 0.0, float("inf"), 0.0)],
}


def spoiled():
    return Table(
        "net", (Row(SPOILED, "Conv2D", (None, 4, None, 2), {"kernel": 18}, 18, ("a", "b")),)
    )


def evaluation():
    return Evaluation(SCORES, ("background", "liver", "tumour"))


def test_a_table_shows_itself_as_an_html_table():
    shown = audit.table("unet2d_small")._repr_html_()
    assert shown == audit.table("unet2d_small").to_text("html")
    assert shown.startswith("<table>")
    assert "<script>" not in spoiled()._repr_html_()


def plan():
    return unetzoo.planning.plan(Fingerprint([(1.0, 1.0, 1.0)] * 20, [(96, 96, 96)] * 20, 1, 2))


RESULTS = {
    "Card": lambda: unetzoo.card("unet3d_90m"),
    "Diff": lambda: audit.diff("unet2d_small", "unet2d_original"),
    "Explanation": lambda: audit.explain("unet3d_90m", "unet3d_19m"),
    "Search": lambda: audit.explain("unet3d_original", count=19_069_955),
    "Plan": plan,
    "Evaluation": evaluation,
}


@pytest.mark.parametrize("name", RESULTS)
def test_other_results_show_what_print_shows(name):
    result = RESULTS[name]()
    assert type(result).__name__ == name
    shown = result._repr_html_()
    assert shown.startswith("<pre>")
    assert shown.endswith("</pre>")
    assert html.unescape(shown[5:-6]) == str(result)
    assert "<" not in shown[5:-6]


def test_a_table_is_a_pandas_frame():
    pytest.importorskip("pandas")
    table = audit.table("unet3d_90m")
    frame = table.to_pandas()
    assert list(frame.columns) == ["layer", "type", "output", "parameters", "trainable", "inputs"]
    assert len(frame) == len(table)
    assert frame["parameters"].sum() == table.total
    assert frame["trainable"].sum() == table.trainable == 90_309_763
    assert spoiled().to_pandas()["output"][0] == (4, None, 2)


def test_an_evaluation_is_a_pandas_frame():
    pytest.importorskip("pandas")
    frame = evaluation().to_pandas()
    assert list(frame["case"]) == ["a", "a", SPOILED, SPOILED]
    assert list(frame["class"]) == ["liver", "tumour"] * 2
    means = frame.groupby("label")["dice"].mean()
    expected = {row.label: row.mean for row in evaluation().summary if row.measure == "dice"}
    assert means.to_dict() == pytest.approx(expected)
    assert np.isinf(frame["hd95"][3])
    assert Evaluation({}).to_pandas().empty


@pytest.mark.parametrize("result", [spoiled(), evaluation()])
def test_without_pandas_it_is_one_sentence(result, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"^to_pandas: expected pandas; install it: pip install"):
        result.to_pandas()


def test_nothing_of_ours_imports_pandas():
    code = (
        "import sys, audit, unetzoo; audit.table('unet3d_90m'); sys.exit('pandas' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
