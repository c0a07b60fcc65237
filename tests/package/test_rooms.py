"""Which room may import which: downwards only, and never in a circle."""

import ast
from graphlib import CycleError, TopologicalSorter

import pytest
from places import ROOT, TESTS

FILES = [path for top in ("audit", "unetzoo") for path in sorted((ROOT / top).rglob("*.py"))]
FLOORS = [  # the lowest first; a room imports from lower floors alone, or from itself
    {"unetzoo.utils"},
    {"unetzoo.layers", "unetzoo.losses", "unetzoo.cards", "unetzoo.model_files"},
    {"unetzoo.blocks", "unetzoo.metrics"},
    {"unetzoo.models"},
    {"unetzoo.registry"},
    {"unetzoo.saving"},
    {"unetzoo.data", "unetzoo.training", "unetzoo.inference"},
    {"unetzoo.evaluation", "unetzoo.planning"},
    {"unetzoo.visualization"},
    {"unetzoo.callbacks", "unetzoo.interop"},
    {"unetzoo.pipeline"},
    {"unetzoo.demo"},
    {"unetzoo.cli"},
]
AUDIT = [
    {"audit.styles", "audit.kinds"},
    {"audit.tables"},
    {"audit.formats"},
    {"audit.zoo"},
    {"audit.sources", "audit.analysis"},
    {"audit.comparison", "audit.documents"},
    {"audit.rebuilding"},
    {"audit.html_report", "audit.markers", "audit.pytest_plugin"},
    {"audit.playground"},
    {"audit.cli"},
]


def module_of(path):
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_of(path): path for path in FILES}


def imported(path):
    """The modules of ours that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name in MODULES)
        elif isinstance(node, ast.ImportFrom) and node.module in MODULES:
            for name in node.names:
                inner = f"{node.module}.{name.name}"
                yield inner if inner in MODULES else node.module


def room(module):
    return ".".join(module.split(".")[:2])


def floor(module, floors):
    return next((n for n, rooms in enumerate(floors) if room(module) in rooms), None)


def test_every_module_stands_on_a_floor():
    faces = {"audit", "unetzoo", "audit.__main__", "unetzoo.__main__", "audit.py", "unetzoo.py"}
    lost = [m for m in MODULES if m not in faces and floor(m, FLOORS + AUDIT) is None]
    assert lost == []


@pytest.mark.parametrize("module", sorted(MODULES))
def test_a_room_imports_from_lower_floors_alone(module):
    if module in ("audit", "unetzoo") or module.endswith("__main__"):
        return  # the faces hand on what others have
    floors = FLOORS if module.startswith("unetzoo") else FLOORS + AUDIT
    here = floor(module, floors)
    for other in imported(MODULES[module]):
        if room(other) not in (room(module), "audit", "unetzoo"):
            below = floor(other, floors)
            assert below is not None, f"{module} imports {other}, which stands above it"
            assert below < here, f"{module} imports {other}, which stands beside or above it"


def test_no_two_modules_import_each_other():
    graph = {
        module: {other for other in imported(path) if other != module}
        for module, path in MODULES.items()
        if path.name != "__init__.py"
    }
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_the_tests_stand_in_folders_of_the_same_names():
    own = {"golden", "helpers", "package", "scripts", "twins"}
    for path in TESTS.rglob("test_*.py"):
        place = path.parent.relative_to(TESTS)
        tops = (ROOT, ROOT / "unetzoo")
        assert str(place) in own or any((top / place).is_dir() for top in tops), path
