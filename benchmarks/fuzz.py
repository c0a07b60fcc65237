"""Damaged texts and files for the auditor, for as long as one likes: a table or one sentence.

    python benchmarks/fuzz.py [MINUTES] [KIND]...

Every text is a whole printed table with pieces cut out, put twice, put elsewhere or overwritten by
noise; files have other bytes, and JSON other values. Kinds are text, pth, safetensors, onnx, tflite
and plans; all of them without one. It prints how many were tried, how many gave a table, the
slowest one, and each fault with its number, by which it comes again.
"""

import json
import os
import random
import resource
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import audit
from audit.tables import Table

HERE = Path(__file__).parents[1]
GOLDEN = HERE / "tests/golden"
FOLDERS = (HERE / "audit/documents", GOLDEN, GOLDEN / "programs", GOLDEN / "by_hand")
TEXTS = [
    path.read_text(encoding="utf-8")
    for folder in FOLDERS
    for path in sorted(folder.iterdir())
    if path.suffix in (".txt", ".md") and path.name != "README.md"
]
SECONDS = {"plans": 20.0}  # and 2 for the others: far beyond what their length needs
MEMORY = 6 * 2**30  # bytes of addresses, TensorFlow's among them
MOST = 20  # faults that are printed
NOISE = (
    "|", "(", ")", "[[", "...", "\x1b[1m", "&#40;", "├─", "│", "\t", "\r\n", "-" * 500, "\0", "…",
    "<tr>", "</pre>", "9" * 40, "-1", "1e400", ": 1-1", "0 params", "Total params: 7", "\u2028",
    "<br>", "\\n", " a( (b): C(", "=" * 20 + " Layer (type) Param # " + "=" * 20,
)  # fmt: skip
VALUES = (None, True, -1, 0, 2, 10**7, 10**30, 1e400, "", "x", "3", "9" * 5000, [], [1], {}, [[]])


def damaged_text(text: str, dice: random.Random) -> str:
    for _ in range(dice.randint(1, 6)):
        first = dice.randrange(len(text) + 1)
        last = first + int(dice.random() ** 3 * 0.3 * len(text))
        if dice.random() < 0.3:  # whole lines, as people leave them out
            first, last = text.rfind("\n", 0, first) + 1, text.find("\n", last) + 1 or len(text)
        middle = dice.choice(("", text[first:last] * 2, dice.choice(NOISE)))
        text = text[:first] + middle + text[last:]
    return text + "\n"


def damaged_bytes(data: bytes, dice: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(dice.randint(1, 20)):
        place = dice.randrange(min(dice.choice((64, 600, 6000, 10**9)), len(changed)) or 1)
        how, some = dice.randrange(16), dice.randrange(1, 40)
        if how < 10:
            changed[place : place + 1] = bytes([dice.choice((0, 1, 127, 128, 255, some))])
        elif how < 12:
            changed[place : place + some] = b""
        elif how < 15:
            changed[place:place] = changed[place : place + some]
        elif len(changed) > 100:
            del changed[-dice.randrange(1, len(changed) // 2) :]
    return bytes(changed)


def damaged_json(text: str, dice: random.Random) -> str:
    """The text with other values, or without some."""
    whole = json.loads(text)
    for _ in range(dice.randint(1, 3)):
        holder, key = dice.choice(list(_places(whole)) or [({}, "x")])
        if isinstance(holder, dict) and dice.random() < 0.2:
            holder.pop(key, None)
        else:
            holder[key] = dice.choice(VALUES)
    return json.dumps(whole)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in list(items):
        yield value, key
        if isinstance(inner, dict | list):
            yield from _places(inner)


def damaged_zip(data: bytes, path: Path, dice: random.Random) -> None:
    """The archive with one of its files damaged, and with sums that fit."""
    path.write_bytes(data)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    names = list(parts)
    name = dice.choice([*names, *[n for n in names if n.endswith("data.pkl")] * len(names)])
    parts[name] = damaged_bytes(parts[name], dice)
    with zipfile.ZipFile(path, "w") as archive:
        for each, content in parts.items():
            archive.writestr(each, content)


def damaged_header(data: bytes, dice: random.Random) -> bytes:
    """Safetensors with another header, whose length fits."""
    size = int.from_bytes(data[:8], "little")
    header = damaged_json(data[8 : 8 + size].decode(), dice).encode()
    return len(header).to_bytes(8, "little") + header + data[8 + size :]


def samples(folder: Path) -> dict[str, list[Path]]:
    """A few whole files of each kind."""
    import torch
    from safetensors.torch import save_file

    import unetzoo

    sys.path.append(str(HERE / "tests/helpers"))
    from torch_pairs import Net

    net = Net(norm=torch.nn.BatchNorm2d, up_kernel=3)
    torch.save({"epoch": 3, "state_dict": net.state_dict()}, folder / "net.pth")
    torch.save(net.state_dict(), folder / "old.pth", _use_new_zipfile_serialization=False)
    save_file(net.state_dict(), folder / "net.safetensors")
    torch.onnx.export(net, torch.zeros(1, 1, 32, 32), folder / "net.onnx", dynamo=False)
    model = unetzoo.build("unet2d_small")
    model.export(folder / "zoo.onnx", format="onnx", verbose=False)
    model.export(folder / "zoo.tflite", format="litert", verbose=False)
    trained = sorted((GOLDEN / "nnunet").glob("*/nnUNet*"))
    return {
        "pth": [*folder.glob("*.pth"), next(trained[0].glob("fold_*/*.pth"))],
        "plans": [path / "plans.json" for path in trained],
        **{kind: list(folder.glob(f"*.{kind}")) for kind in ("safetensors", "onnx", "tflite")},
    }


def damaged_file(kind: str, whole: Path, path: Path, dice: random.Random) -> None:
    data = whole.read_bytes()
    if kind == "plans":
        path.write_text(damaged_json(data.decode(), dice))
    elif kind == "pth" and zipfile.is_zipfile(whole) and dice.random() < 0.7:
        damaged_zip(data, path, dice)
    elif kind == "safetensors" and dice.random() < 0.5:
        path.write_bytes(damaged_header(data, dice))
    else:
        path.write_bytes(damaged_bytes(data, dice))


def fault(source: Any, said: dict[str, float]) -> str:
    """What is wrong with how a source is read; empty if nothing is."""
    try:
        tables = audit.read_all(source) if isinstance(source, str) else [audit.table(source)]
    except ValueError as error:
        return "" if str(error).endswith(".") and "\n" not in str(error) else f"said: {error}"
    except MemoryError:
        return "memory"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    said["tables"] += 1
    return "".join(map(_wrong, tables))


def _wrong(table: Table) -> str:
    again = audit.read(table.to_text("json"))
    counts = [row.total for row in table] + [row.trainable for row in table]
    if again != table:
        return "read back it is another. "
    return "negative counts. " if min(counts) < 0 or len(table.inconsistencies()) > 3 else ""


def fuzz(kind: str, minutes: float, wholes: list[Any], folder: Path) -> None:
    said = {"tables": 0.0, "slowest": 0.0}
    faults: dict[str, int] = {}
    end, number = time.monotonic() + 60 * minutes, 0
    while time.monotonic() < end and len(faults) < MOST:
        dice = random.Random(f"{kind} {number}")
        whole = dice.choice(wholes)
        path = folder / ("plans.json" if kind == "plans" else f"damaged.{kind}")
        if kind != "text":
            damaged_file(kind, whole, path, dice)
        source = damaged_text(whole, dice) if kind == "text" else path
        start = time.process_time()
        wrong = fault(source, said)
        seconds = time.process_time() - start
        said["slowest"] = max(said["slowest"], seconds)
        if seconds > SECONDS.get(kind, 2):
            wrong += f"{seconds:.1f} seconds."
        if wrong and faults.setdefault(wrong[:60], number) == number:
            print(f"{kind} {number}: {wrong}", flush=True)
        number += 1
    print(
        f"{kind}: {number:,} damaged in {minutes:g} minutes: {said['tables']:,.0f} gave a table, "
        f"the others one sentence each; the slowest took {said['slowest']:.3f} s; "
        f"{len(faults)} sorts of faults",
        flush=True,
    )


def main() -> None:
    words = sys.argv[1:]
    minutes = float(words.pop(0)) if words and words[0].replace(".", "").isdigit() else 10
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "whole").mkdir()
        kinds: dict[str, list[Any]] = {"text": TEXTS}
        if words != ["text"]:
            kinds |= samples(folder / "whole")
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, -1))
        for kind in words or kinds:
            fuzz(kind, minutes / len(words or kinds), kinds[kind], folder)


if __name__ == "__main__":
    main()
