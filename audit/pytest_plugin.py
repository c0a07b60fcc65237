"""A pytest plugin: ``pytest --audit README.md:pkg.module:build`` tests that a table is not stale.

Each option is one test, ``README.md::pkg.module:build``: it imports ``pkg.module``, calls
``build()`` and fails with the explained diff unless the table in ``README.md`` is that model's.
The folder in which pytest was started, and pytest's rootdir, are put first on ``sys.path``. Without
the option this module does nothing, and Keras is not imported.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from audit.comparison.assertion import mismatch
from audit.sources import builders as building
from audit.sources.resolve import as_table
from audit.sources.text import read_all


@dataclass(frozen=True)
class Claim:
    """A file with a published table, and the builder ``pkg.module:build`` of its network."""

    path: Path
    builder: str


CLAIMS = pytest.StashKey[list[Claim]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("audit", "published tables of networks").addoption(
        "--audit",
        action="append",
        default=[],
        dest="audit_claims",
        metavar="FILE:MODULE:FUNCTION",
        help="test that the table in FILE is that of the Keras model which MODULE's FUNCTION "
        "returns, such as README.md:pkg.module:build; may be given several times",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make pytest visit the files in the options, whatever else it was asked to run."""
    folders = list(dict.fromkeys([config.invocation_params.dir, config.rootpath]))
    claims = [_claim(value, folders) for value in dict.fromkeys(config.option.audit_claims)]
    if not claims:
        return
    config.stash[CLAIMS] = claims
    paths = dict.fromkeys(str(claim.path) for claim in claims)
    config.args += [path for path in paths if path not in config.args]
    sys.path[:0] = [str(folder) for folder in folders if str(folder) not in sys.path]


def _claim(value: str, folders: list[Path]) -> Claim:
    """An option's value, split from the right: a Windows path has a colon of its own."""
    path, _, rest = value.rpartition(":")
    path, _, module = path.rpartition(":")
    try:
        if not path:
            raise ValueError("a part is missing")
        building.split_spec(f"{module}:{rest}")
    except ValueError:
        raise pytest.UsageError(
            f"--audit {value}: expected FILE:MODULE:FUNCTION, such as README.md:pkg.module:build."
        ) from None
    for folder in folders:
        if (folder / path).is_file():
            return Claim(folder / path, f"{module}:{rest}")
    places = " or ".join(map(str, folders))
    raise pytest.UsageError(f"--audit {value}: no file {path} in {places}; check the path.")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> "AuditFile | None":
    claims = parent.config.stash.get(CLAIMS, [])
    if any(claim.path.samefile(file_path) for claim in claims):
        return AuditFile.from_parent(parent, path=file_path)
    return None


class AuditFile(pytest.File):
    """A file with published tables; a test for each builder named with it."""

    def collect(self) -> Iterator["AuditItem"]:
        for claim in self.config.stash[CLAIMS]:
            if claim.path.samefile(self.path):
                yield AuditItem.from_parent(self, name=claim.builder)


class AuditItem(pytest.Item):
    """The table published in a file is that of the network that a builder gives."""

    def runtest(self) -> None:
        from unetzoo.utils.console import load_keras

        load_keras()
        try:
            message = self._compared(building.built(building.find_builder(self.name)))
        except building.SpecError as error:
            message = f"--audit {error}"
        except SystemExit as error:  # which would end pytest
            message = f"{self.name} raised SystemExit: {error}"
        if message:
            pytest.fail(message, pytrace=False)

    def _compared(self, model: Any) -> str:
        """How the published table differs; empty if it does not."""
        try:
            where = self.nodeid.partition("::")[0]
            return mismatch(read_all(self.path), as_table(model), where)
        except ValueError as error:
            return str(error)

    def repr_failure(self, excinfo: Any, style: Any = None) -> Any:
        """Show a mismatch as its text, and trace an error in the user's module from there on."""
        if isinstance(excinfo.value, pytest.fail.Exception):
            return super().repr_failure(excinfo)
        inner = excinfo.traceback.cut(path=building.__file__).filter(_is_users)
        return excinfo.getrepr(style="short", tbfilter=(lambda info: inner) if inner else True)

    def reportinfo(self) -> tuple[Path, None, str]:
        return self.path, None, f"audit {self.nodeid}"


def _is_users(entry: Any) -> bool:
    return str(entry.path) != building.__file__ and "importlib" not in str(entry.path)
