"""What a user finds by Tab and by help: all that is public, and nothing else."""

import importlib
import pkgutil
import pydoc
import subprocess
import sys

import pytest

MODULES = {  # public modules of each package, beside the names of its __all__
    "unetzoo": {"blocks", "callbacks", "data", "evaluation", "inference", "interop",
                "layers", "losses", "metrics", "models", "pipeline", "planning", "training",
                "visualization"},
    "unetzoo.blocks": set(),
    "unetzoo.data": {"synthetic", "tfds"},
    "unetzoo.evaluation": set(),
    "unetzoo.inference": set(),
    "unetzoo.interop": set(),
    "unetzoo.layers": set(),
    "unetzoo.losses": set(),
    "unetzoo.pipeline": set(),
    "unetzoo.planning": set(),
    "unetzoo.training": set(),
    "unetzoo.visualization": set(),
    "audit": set(),
}  # fmt: skip


def shown(package):
    return {name for name in dir(package) if not name.startswith("__")}


def python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


@pytest.mark.parametrize("name", MODULES)
def test_tab_shows_what_is_public_and_nothing_else(name):
    package = importlib.import_module(name)
    for module in pkgutil.iter_modules(package.__path__, f"{name}."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)  # which sets it as an attribute of the package
    assert shown(package) == {*package.__all__, *MODULES[name]}
    assert len(package.__all__) == len(set(package.__all__))


@pytest.mark.parametrize("name", MODULES)
def test_every_public_name_is_there(name):
    package = importlib.import_module(name)
    for public in shown(package):
        assert getattr(package, public).__doc__, public
    with pytest.raises(AttributeError, match="nothing_such"):
        package.nothing_such  # noqa: B018


def test_every_all_of_any_module_is_there():
    for top in ("unetzoo", "audit"):
        package = importlib.import_module(top)
        for info in pkgutil.walk_packages(package.__path__, f"{top}."):
            if info.name.endswith("__main__"):
                continue
            module = importlib.import_module(info.name)
            missing = [n for n in getattr(module, "__all__", ()) if not hasattr(module, n)]
            assert not missing, info.name


def test_every_package_of_a_user_is_among_them():
    import unetzoo

    packages = {m.name for m in pkgutil.iter_modules(unetzoo.__path__) if m.ispkg}
    assert packages - MODULES["unetzoo"] == {"cli", "utils"}


def test_tab_imports_no_keras():
    lazy = "unetzoo", "unetzoo.data", "unetzoo.training", "unetzoo.pipeline", "audit"
    code = (
        "import importlib, sys\n"
        f"for name in {lazy}: dir(importlib.import_module(name))\n"
        "print([m for m in ('keras', 'tensorflow', 'numpy', 'pandas') if m in sys.modules])"
    )
    assert python(code).stdout == "[]\n"


def test_the_packages_need_no_further_import():
    code = (
        "import unetzoo\n"
        "print(unetzoo.losses.DiceCrossentropy().name, unetzoo.data.PatchDataset.__name__,\n"
        "      unetzoo.metrics.DiceScore.__name__, unetzoo.training.compile_model.__name__)"
    )
    assert python(code).stdout == "dice_crossentropy PatchDataset DiceScore compile_model\n"


@pytest.mark.parametrize("name", ["unetzoo", "audit"])
def test_help_names_all_that_is_public(name):
    package = importlib.import_module(name)
    text = pydoc.render_doc(package, renderer=pydoc.plaintext)
    assert all(line in text for line in package.__doc__.splitlines())
    assert len(package.__doc__.splitlines()) > 10
    assert not [public for public in shown(package) if f"``{public}``" not in package.__doc__]


@pytest.mark.parametrize("name", MODULES)
def test_no_module_has_a_public_functions_name(name):
    package = importlib.import_module(name)
    beside = {module.name for module in pkgutil.iter_modules(package.__path__)}
    assert not beside & set(package.__all__)  # once imported, a module takes its name's place
