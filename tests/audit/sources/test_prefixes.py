"""Tables in logs, sources, editors and web pages are read as if nothing stood around them."""

import html
import json
import re

import pytest

import audit
import unetzoo

BEFORE = {  # what stands before line n
    "logging": lambda n: f"2024-01-02 03:04:{n % 60:02d},{n % 1000:03d} - root - INFO - ",
    "logging's default": lambda n: "INFO:root:",
    "brackets": lambda n: f"[2024-01-02 03:04:{n % 60:02d}] ",
    "level": lambda n: "[INFO] ",
    "glog": lambda n: f"I0102 03:04:{n % 60:02d}.{n:06d} {1234 + n} train.py:{n + 5}] ",
    "time": lambda n: f"03:04:{n % 60:02d} ",
    "loguru": lambda n: f"2024-01-02 03:04:05.{n % 1000:03d} | INFO     | __main__:main:{n} - ",
    "numbers": lambda n: f"{n + 1}: ",
    "an editor": lambda n: f"{n + 95:4d} | ",
    "cat -n": lambda n: f"{n + 1:6d}\t",
    "docker": lambda n: "app_1  | ",
    "GitHub": lambda n: f"2024-01-02T03:04:{n % 60:02d}.1234567Z ",
    "ray": lambda n: "(train pid=123) ",
    "mpi": lambda n: "[1,0]<stdout>:",
    "rank": lambda n: "[rank0]: ",
    "patch": lambda n: "+",
    "SQL": lambda n: "-- ",
    "Lisp": lambda n: "; ",
    "TeX": lambda n: "% ",
    "C": lambda n: " * ",
}
AROUND = {
    "Windows": lambda text: text.replace("\n", "\r\n"),
    "progress bars": lambda text: "\n".join(
        f" 10%|█   | 1/10\r 20%|██  | 2/10\r{line}" for line in text.split("\n")
    ),
    "thin spaces": lambda text: text.replace("  ", "\u2009 "),
    "wide spaces": lambda text: text.replace("  ", "\u3000 "),
    "characters of no width": lambda text: "\ufeff" + text.replace("│", "│\u200b"),
    "rich's log": lambda text: "\n".join(
        f"[03:04:{n % 60:02d}] INFO     {line}" for n, line in enumerate(text.split("\n"))
    ),
    "compose": lambda text: "\n".join(
        f"\x1b[36mtrain-1  |\x1b[0m {line}" for line in text.split("\n")
    ),
    "kubectl": lambda text: "\n".join(
        f"[pod/train-7d9f8-x2x4k/train] {line}" for line in text.split("\n")
    ),
    "strings": lambda text: re.sub(r"(?m)^(.*)$", r'    "\1\\n"', text),
    "pre": lambda text: f"<p>It has</p><pre style='a'>{html.escape(text)}</pre>",
    "colored pre": lambda text: (
        "<pre>" + re.sub(r"(\d+)", r'<span style="a">\1</span>', html.escape(text)) + "</pre>"
    ),
    "fence": lambda text: f"```python\n{text}\n```",
    "JSON lines": lambda text: "\n".join(
        json.dumps({"log": f"{line}\n", "stream": "stdout"}) for line in text.split("\n")
    ),
    "panel": lambda text: "\n".join(f"│ {line.rstrip():220} │" for line in text.split("\n")),
    "prompt": lambda text: f">>> print(net)\n{text}\n>>> exit()",
    "IPython": lambda text: f"In [3]: net\nOut[3]: \n{text}\n\nIn [4]: ",
}
STYLES = [
    "torchsummary", "torchinfo", "keras2", "keras2b", "keras2c", "keras3", "torchrepr", "markdown",
    "torch-summary", "pytorch-model-summary",
]  # fmt: skip


@pytest.fixture(scope="module")
def network():
    return audit.table(unetzoo.skeleton("unet2d_small"))


@pytest.mark.parametrize("style", STYLES)
def test_what_stands_before_and_around_a_table_is_taken_off(network, style):
    text = network.to_text(style)
    spoiled = {name: around(text) for name, around in AROUND.items()}
    for name, before in BEFORE.items():
        spoiled[name] = "\n".join(f"{before(n)}{line}" for n, line in enumerate(text.split("\n")))
    for name, lines in spoiled.items():
        table = audit.read(f"Our network\n{lines}\nwas trained.\n")
        assert table.style == style, name
        assert audit.diff(table, network).same, name
        assert table.inconsistencies() == (), name


@pytest.mark.parametrize("style", STYLES)
def test_lines_that_end_in_carriage_returns_alone(network, style):
    table = audit.read(network.to_text(style).replace("\n", "\r"))
    assert audit.diff(table, network).same
    assert table.inconsistencies() == ()


def cells(line):
    return [cell.strip() for cell in re.split(r" {2,}", line.strip())]


@pytest.mark.parametrize("style", ["torchsummary", "pytorch-model-summary"])
def test_a_table_of_html_or_of_markdown_without_outer_bars(network, style):
    lines = [cells(line) for line in network.to_text(style).splitlines() if "  " in line.strip()]
    rows = "\n".join(f"<tr><td>{'</td><td>'.join(line)}</td></tr>" for line in lines)
    page = f"<html><body><table class='a'>{rows}</table><p>Total params: 63,972</p></body></html>"
    bare = "\n".join([" | ".join(lines[0]), " | ".join("---" for _ in lines[0])])
    bare += "\n" + "\n".join(" | ".join(line) for line in lines[1:]) + "\n\nTotal params: 63,972\n"
    for text in (page, bare):
        table = audit.read(text)
        assert audit.diff(table, network).same
        assert table.stated["total"] == table.total == 63_972


def test_a_header_with_other_words():
    for head in ("Param", "Params", "Param #", "Parameters"):
        text = f"| Layer (type) | Output Shape | {head} |\n|:--|:--|--:|\n"
        text += "| conv (Conv2D) | (None, 6, 6, 4) | 40 |\n| fc (Dense) | (None, 3) | 435 |\n"
        table = audit.read(f"{text}\n- Total params: 475\n")
        assert [row.total for row in table] == [40, 435]
        assert table.stated["total"] == 475


def test_the_title_in_an_output_of_its_own(network, tmp_path):
    title, _, rest = network.to_text("keras3").partition("\n")
    outputs = [
        {"data": {"text/plain": [f"\x1b[1m{title}\x1b[0m\n"]}},
        {"data": {"text/plain": [rest[: rest.index(" Total")]]}},
        {"data": {"text/plain": [rest[rest.index(" Total") :]]}},
    ]
    path = tmp_path / "notebook.ipynb"
    path.write_text(json.dumps({"cells": [{"cell_type": "code", "outputs": outputs}]}))
    table = audit.read(path)
    assert (table.name, table.stated["total"]) == (network.name, network.total)


def test_one_table_that_cannot_be_read_does_not_take_the_others(network):
    whole = network.to_text("torchsummary")
    cut = "Net(\n  (a): ReLU()\n  (b): MaxPool2d(kernel_size=2, stride=2, padding=0"
    first, second = audit.read_all(f"{whole}\n\nand\n\n{whole}\n\nand\n\n{cut}")
    assert (first.total, second.total) == (63_972, 63_972)
    (sentence,) = first.repairs
    assert sentence.startswith("a table was not read: line ")
    assert "expected a whole row" in sentence
    assert second.repairs == ()
