"""The waterfall of causes: as a PNG, and in the page of two networks."""

import re
from itertools import pairwise
from xml.etree import ElementTree

import commands
from torch import nn
from torch_pairs import Net, summarized

import audit
from audit.comparison.explain import Cause, Explanation
from audit.comparison.waterfall import MOST, limits, steps, waterfall_figure
from audit.html_report import report_diff
from audit.html_report.drawing import waterfall


def halved():
    texts = [summarized(Net()), summarized(Net(base=4, norm=nn.BatchNorm2d))]
    return texts, audit.explain(*texts)


def test_each_bar_begins_where_the_last_one_ends(tmp_path):
    _, explanation = halved()
    bars = steps(explanation)
    assert [bar.end for bar in bars[:-1]][-1] == explanation.second == bars[-1].end
    assert all(after.start == before.end for before, after in pairwise(bars[:-1]))
    figure = waterfall_figure(tmp_path / "w.png", explanation)
    (axes,) = figure.axes
    drawn = [(patch.get_x(), patch.get_x() + patch.get_width()) for patch in axes.patches]
    assert drawn == [tuple(sorted((bar.start, bar.end))) for bar in bars]
    written = {text.get_text() for text in axes.texts}
    assert {"all widths halved", "norms that only the second has"} <= written
    assert f"{explanation.causes[0].parameters:+,}" in written
    assert (tmp_path / "w.png").read_bytes().startswith(b"\x89PNG")


def test_the_picture_in_the_page():
    texts, explanation = halved()
    svg = re.search(r'<svg class="waterfall".*?</svg>', report_diff(*texts), re.DOTALL)[0]
    assert svg == waterfall.draw(explanation)
    tree = ElementTree.fromstring(svg)
    bars = tree.findall("rect")
    assert [bar.get("class") for bar in bars] == ["total", "less", "more", "total"]
    label = tree.get("aria-label")
    assert label.startswith(f"the first {explanation.first:,}; all widths halved -")


def test_many_causes_and_odd_words_are_drawn(tmp_path):
    causes = tuple(Cause(f"<b>${n}$ " + "x" * 200, 1 + n, ("a",)) for n in range(30))
    explanation = Explanation(10**9, 10**9 + sum(c.parameters for c in causes), causes)
    bars = steps(explanation)
    assert len(bars) == MOST + 2
    assert bars[-2].label == f"{30 - MOST + 1} smaller causes"
    assert bars[-2].end == explanation.second
    assert limits(bars)[0] > 0.9 * 10**9
    ElementTree.fromstring(waterfall.draw(explanation))
    waterfall_figure(tmp_path / "odd.png", explanation)
    empty = Explanation(0, 0, ())
    ElementTree.fromstring(waterfall.draw(empty))
    waterfall_figure(tmp_path / "empty.png", empty)


def test_the_command_draws_it_and_says_where_it_cannot(tmp_path):
    path = tmp_path / "w.png"
    done = commands.command(
        "unetzoo-audit", "explain", "unet3d_original", "unet3d_19m", "--png", path
    )
    assert done.returncode == 0, done.stderr
    assert path.exists()
    lost = tmp_path / "none" / "w.png"
    for words in (["unet3d_19m", "--png", lost], ["--count", "5", "--png", path]):
        bad = commands.command("unetzoo-audit", "explain", "unet3d_original", *words)
        assert (bad.returncode, bad.stdout) == (2, "")
        assert "w.png" in bad.stderr
