"""nnU-Net's plans -> Table: the network that they describe, built without weights."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from audit.tables import Row, Table
from unetzoo.utils.json_values import read_json, short
from unetzoo.utils.text import few

USUAL = "3d_fullres"
CLASSES = 2  # where nothing says how many


def table_of(path: Path) -> Table:
    """The table of a ``plans.json``, a folder that nnU-Net has trained, or a zip of one.

    Plans alone do not say how many classes there are: ``dataset.json`` beside them does, else two
    are assumed, which is a note of the table. A folder's name says which configuration it is; of
    plans alone ``3d_fullres`` is taken if there is one. The heads of deep supervision are counted,
    as nnU-Net stores them.

    Raises: ValueError for what is not nnU-Net's, and networks that its planner does not make.
    """
    from unetzoo.interop.nnunet_zip import trained_place

    if path.suffix == ".json":
        return _table(path, path.parent)
    with trained_place(path, weights=False) as folder:
        return _table(folder / "plans.json", folder)


def _table(plans_file: Path, folder: Path) -> Table:
    from audit.sources.keras_model import table_of as table_of_model
    from unetzoo.interop.nnunet_folder import configuration_of, reading_plans
    from unetzoo.interop.nnunet_network import architecture_of
    from unetzoo.registry import skeleton

    plans, described = read_json(plans_file, "plans of nnU-Net"), folder / "dataset.json"
    dataset = None
    if described.is_file():
        dataset = read_json(described, "a description of nnU-Net's data")
    with reading_plans(plans_file):
        chosen, notes = _chosen(plans, folder)
        configuration = configuration_of(plans, chosen, plans_file)
        name, stages = architecture_of(configuration, plans_file)
        channels, classes, more = _ends(plans, configuration, dataset, folder)
        patch = tuple(configuration["patch_size"])
        model = skeleton(
            name,
            input_shape=(*(1,) * (3 - len(patch)), *patch, channels),
            num_classes=classes,
            norm=_norm(configuration),
            deep_supervision=True,
            **stages,
        )
    table = table_of_model(model)
    rows = table.rows if len(patch) == 3 else tuple(map(_flat, table.rows))
    return replace(table, name=chosen, rows=rows, repairs=(*notes, *more))


def _norm(configuration: Any) -> str | None:
    """The norms; plans of before 2.5 do not say them, and are of instance norms."""
    arguments = configuration.get("architecture", {}).get("arch_kwargs", {})
    kind = arguments.get("norm_op", "InstanceNorm")
    if kind is None:
        return None
    return "batch" if "BatchNorm" in str(kind) else "instance"


def _flat(row: Row) -> Row:
    """A row of a 2D network, which is built in three axes, as one of two."""
    settings = {
        key: value[1:] if isinstance(value, tuple) and len(value) == 3 else value
        for key, value in row.settings.items()
    }
    return replace(
        row,
        layer_class=row.layer_class.replace("3D", "2D"),
        shape=(*row.shape[:1], *row.shape[2:]),
        settings=settings,
    )


def _chosen(plans: Any, folder: Path) -> tuple[str, list[str]]:
    """The configuration, and a note where it had to be chosen."""
    if not isinstance(plans, dict) or not isinstance(plans.get("configurations"), dict):
        raise ValueError(f"{short(plans)} has no configurations")
    names = list(plans["configurations"])
    named = folder.name.rpartition("__")[-1]
    if named in names:
        return named, []
    if not names:
        raise ValueError("it has no configuration")
    chosen = USUAL if USUAL in names else names[0]
    return chosen, [f"configuration {chosen} taken, of {few(names)}"] * (len(names) > 1)


def _ends(plans: Any, configuration: Any, dataset: Any, folder: Path) -> tuple[int, int, list[str]]:
    """Channels, classes, and a note on what is assumed."""
    from unetzoo.interop.nnunet_folder import TrainedFolder, channel_count

    if dataset is None:
        channels = len(plans.get("foreground_intensity_properties_per_channel") or [0])
        note = f"{CLASSES} classes assumed: only dataset.json, which is not there, says how many"
        return channels, CLASSES, [note]
    trained = TrainedFolder(folder, dataset, plans, configuration, "", (), (), ())
    before = len(trained.numbers) if configuration.get("previous_stage") else 0
    return channel_count(folder) + before, trained.heads, []
