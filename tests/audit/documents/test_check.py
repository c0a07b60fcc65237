"""The documents' statements: every one has a verdict, and a changed network turns it."""

import json
import re
from collections import Counter
from dataclasses import replace
from functools import cache, partial

import commands
import pytest
from places import ROOT

import audit
import unetzoo
from audit.documents.check import check
from audit.documents.page import page
from audit.documents.statement import STATEMENTS, VERDICTS, Network, about

PAGE = ROOT / "docs" / "explanation" / "statements.md"
IDS = (
    [f"S1.{n}" for n in range(1, 5)]
    + [f"S2.{n}" for n in range(1, 5)]
    + [f"S3.{n}" for n in range(1, 4)]
    + [f"S4.{n}" for n in range(1, 4)]
    + [f"S5.{n}" for n in range(1, 36)]
    + [f"P{n}" for n in range(1, 13)]
)


@cache
def verdict_of():
    return {verdict.id: verdict for verdict in check()}


def test_every_statement_has_a_verdict_and_it_is_the_one_on_record():
    assert list(verdict_of()) == IDS
    assert all(verdict.as_recorded for verdict in verdict_of().values())
    assert {verdict.network for verdict in verdict_of().values()} == set(unetzoo.list_models())
    assert Counter(v.verdict for v in verdict_of().values()) == {
        "confirmed": 36, "confirmed_under_convention": 7, "contradicted": 11, "untestable": 7,
    }  # fmt: skip


def test_the_page_of_statements_is_what_was_measured():
    text = PAGE.read_text(encoding="utf-8")
    assert page(text, list(verdict_of().values())) == text  # else python -m audit.documents
    rows = [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for line in text.splitlines()
        if line.startswith("| <a id=")
    ]
    shown = {
        re.sub("<.*>", "", name): (stated.replace("\\|", "|"), verdict)
        for name, stated, _, verdict in rows
    }
    assert len(rows) == len(STATEMENTS)
    assert shown == {s.id: (s.stated, s.on_record.replace("_", " ")) for s in STATEMENTS}


@pytest.mark.parametrize(
    ("id", "measured"),
    [
        ("S1.4", "17, 36, 55, 74"),
        ("S5.3", "64 to 56, 136 to 104, 280 to 200, 568 to 392"),
        ("S5.9", "13,390,209"),
        ("S5.18", "19,074,627, 19,069,955 without batch norms"),
        ("S5.19", "132 to 128"),
        ("S5.24", "10,041,155"),
        ("P3", "450,699,264 and 19,174,400"),
        ("P5", "6,406,042"),
        ("P6", "5,887,028"),
        ("P9", "[468, 516, 532, 548]"),
        ("P12", "93,231,705"),
    ],
)
def test_what_was_measured(id, measured):
    assert verdict_of()[id].measured == measured


class Changed(Network):
    """A network with an argument that its document does not have."""

    def __init__(self, name, change):
        super().__init__(name)
        self.change = change

    def table(self, **arguments):
        return super().table(**{**arguments, **self.change})


@pytest.mark.parametrize(
    ("id", "change"),
    [
        ("S1.1", {"num_classes": 4}),
        ("S1.2", {"dropout": 0}),
        ("S1.3", {"input_shape": (48, 48, 48, 4)}),
        ("S2.1", {"norm": None}),
        ("S2.2", {"num_classes": 2}),
        ("S3.1", {"num_classes": 5}),
        ("S3.2", {"dropout": 0}),
        ("S4.1", {"norm": "instance"}),
        ("S4.2", {"num_classes": 2}),
        ("S5.1", {"norm": "batch"}),
        ("S5.2", {"input_shape": (556, 556, 1)}),
        ("S5.8", {"norm": None}),
        ("S5.10", {"num_classes": 2}),
        ("S5.17", {"num_classes": 2}),
        ("S5.18", {"num_classes": 4}),
        ("S5.23", {"upsampling": "transposed"}),
        ("S5.25", {"num_classes": 2}),
        ("S5.30", {"norm": None}),
        ("P1", {"num_classes": 3}),
        ("P2", {"norm": None}),
        ("P3", {"upsampling": "linear"}),
        ("P5", {"gates": 1}),
        ("P6", {"features": (16, 32, 64, 128, 255)}),
        ("P7", {"norm": "batch", "num_classes": 300}),
        ("P8", {"convs_down": (1, 1, 3, 3, 3)}),
        ("P10", {"num_classes": 2}),
        ("P11", {"norm": "instance", "hidden": 756}),
        ("P12", {"num_classes": 90}),
    ],
)
def test_a_changed_network_turns_the_verdict(id, change):
    (statement,) = [each for each in STATEMENTS if each.id == id]
    found = statement.measure(Changed(statement.network, change))
    assert found.verdict == "contradicted"
    assert statement.on_record.startswith("confirmed")


def test_about_is_ten_percent():
    assert about(34.1e6, 31e6)
    assert not about(34.2e6, 31e6)


command = partial(commands.command, "unetzoo-audit", "check")


def test_the_command():
    result = command("unet3d-90m", "unet2d_small", "--json")
    assert result.returncode == 0
    found = json.loads(result.stdout)
    assert [each["id"] for each in found] == ["S1.1", "S1.2", "S1.3", "S1.4", "S4.1"]
    keys = {"network", "id", "verdict", "stated", "measured", "reason"}
    assert all(set(each) == keys and each["verdict"] in VERDICTS for each in found)
    text = command("unet3d_90m").stdout
    assert re.search(r"S1\.4 +unet3d_90m +contradicted", text)
    unknown = command("unet3d_91m")
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert "network 'unet3d_91m': expected one with statements" in unknown.stderr


def test_a_changed_verdict_exits_with_1(monkeypatch):
    changed = [replace(s, on_record="confirmed") if s.id == "S1.4" else s for s in STATEMENTS]
    monkeypatch.setattr("audit.documents.check.STATEMENTS", changed)
    result = command("unet3d_90m")
    assert result.returncode == 1
    assert "contradicted (not the verdict on record)" in result.stdout
    assert audit.check("unet3d_90m")[3].as_recorded is False
