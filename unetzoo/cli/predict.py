"""``unetzoo predict``."""

from pathlib import Path
from typing import Any

import click
from click import Choice

from unetzoo.cli.failures import tell_failed
from unetzoo.cli.options import (
    ABOVE_0,
    FOLDER,
    file_spacing_option,
    model_options,
    previous_option,
)
from unetzoo.utils.allocation import hold_little
from unetzoo.utils.choices import MASKS
from unetzoo.utils.console import load_keras, say
from unetzoo.utils.files import check_folder
from unetzoo.utils.journal import keep_list
from unetzoo.utils.text import counted


@click.command()
@click.argument("run_folder", metavar="RUN", type=click.Path(path_type=Path))
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--out", "folder", required=True, type=FOLDER, help="Folder for the masks.")
@model_options
@click.option("--folds", help="Of a folder of nnU-Net: 0,1 or all. Default: every fold.")
@click.option("--checkpoint", help="Of a folder of nnU-Net. Default: checkpoint_final.pth.")
@previous_option
@click.option(
    "--canonical",
    is_flag=True,
    default=None,
    help="Of a folder of nnU-Net: turn images to canonical axes first, as TotalSegmentator does.",
)
@click.option(
    "--probabilities", is_flag=True, help="Also write probabilities: NIfTI, or .npy for pictures."
)
@click.option(
    "--uncertainty",
    is_flag=True,
    help="Also write the entropy; with --mirror or several folds the variance, too.",
)
@file_spacing_option
@click.option(
    "--blocks",
    type=ABOVE_0,
    metavar="GB",
    help="OME-Zarr block by block, in this much memory. Default: where an image is too large.",
)
@click.option("--overwrite", is_flag=True, help="Replace masks that already exist.")
@click.option(
    "--format", type=Choice(MASKS), help="Format of the masks of volumes. Default: the image's own."
)
@click.option(
    "--shard",
    help="This job's share of the images: 2/8 is the second of 8; slurm asks SLURM's job array.",
)
def predict(
    run_folder: Path, images: tuple[Path, ...], folder: Path, which: str, overwrite: bool,
    shard: str | None, device: str | None, format: str | None, blocks: float | None,
    file_spacing: tuple[float, float, float] | None, **options: Any,
) -> None:  # fmt: skip
    """Segment IMAGES, files or folders, with the network of the folder RUN.

    RUN may also be a folder that nnU-Net has trained, a zip of one, or an export as ONNX. Each mask
    has the grid of its image. Files that fail are listed at the end.
    """
    from unetzoo.data.datasets.inputs import cases_of, check_apart, check_targets, in_format, target
    from unetzoo.data.datasets.inputs import shard as share
    from unetzoo.interop.processing import is_exported
    from unetzoo.pipeline.early import channels_of

    options = {name: value for name, value in options.items() if value is not None}
    channels, numbered = channels_of(run_folder, which, options)
    found = cases_of(images, channels, numbered=numbered, file_spacing=file_spacing)
    found = in_format(found, format)
    cases = share(found, shard or "1/1")
    check_targets(found, folder)
    check_apart(found, folder)
    check_folder(folder)
    if shard is not None:
        names = [target(case, folder).name for case in found]
        keep_list(folder, "segmented", dict(zip(names, names, strict=True)))
    task = f"segmenting {counted(len(cases), 'image')} with {run_folder}"
    if is_exported(run_folder):
        say(f"{task} in onnxruntime ...", err=True)
    else:
        hold_little()
        load_keras(task, device)
    from unetzoo.pipeline.loading import load_predictor
    from unetzoo.pipeline.prediction import predict_cases
    from unetzoo.utils.progress import bar_or_lines

    predictor = load_predictor(run_folder, which, **options)
    outcome = predict_cases(
        predictor,
        cases,
        folder,
        overwrite=overwrite,
        blocks=blocks,
        progress=bar_or_lines("segmenting"),
    )
    for path in outcome.written.values():
        say(path)
    tell_failed(outcome.failed, str(outcome))
