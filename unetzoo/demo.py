"""``unetzoo demo``: a network trained for real in minutes, on a brain template and offline.

nilearn comes with the MNI152 template and its maps of gray matter, white matter and brain. A small
3D U-Net learns the tissues on the back of the brain and is tested on the front. (The template is
symmetric, so its left and right halves would be copies of each other.)
"""

import contextlib
import sys
from dataclasses import dataclass
from pathlib import Path

import keras
import nibabel
import numpy as np

from unetzoo.callbacks import SaveRun, resume
from unetzoo.data.augmentation import Augmentation
from unetzoo.data.patches import PatchDataset
from unetzoo.evaluation.scores import overlaps
from unetzoo.inference.windows import classes_of, sliding_window
from unetzoo.pipeline.early import check_demo
from unetzoo.registry import build
from unetzoo.training.compile import compile_model, make_optimizer
from unetzoo.training.epochs import ShowEpochs
from unetzoo.training.history import read_history
from unetzoo.utils.console import say
from unetzoo.utils.files import replacing
from unetzoo.utils.progress import bar

CLASSES = ("background", "grey matter", "white matter", "other brain")
PATCH = (48, 48, 48)
STEPS = 10
SEED = 1
VARY = Augmentation(
    mirror=0.5, brightness=0.5, contrast=0.5,
    rotation=0, scaling=0, noise=0, blur=0, low_resolution=0, gamma=0, inverted_gamma=0,
)  # fmt: skip
CAVEAT = (
    "One subject, and a template at that: an average of 152 people, smoother than any scan. The "
    "front differs from the back, but it is the same head, scanner and labels. This shows that "
    "the network, the loss and fit work; it says nothing about other people's scans."
)


@dataclass(frozen=True)
class Brain:
    """The template; the image is in units of the back's standard deviation."""

    image: np.ndarray  # (D, H, W), float32
    labels: np.ndarray  # (D, H, W), 0 to 3 as in CLASSES
    affine: np.ndarray  # (4, 4), voxel to millimetres
    front: int  # first unseen index on the second axis, which runs from back to front


def run(folder: Path, epochs: int) -> None:
    """Train, predict, print the Dice of each class, and write the results to a folder.

    They are ``model.keras``, ``history.csv``, ``segmentation.nii.gz`` and ``demo.png``. If the demo
    was killed, a new start resumes from its last checkpoint.

    Args:
        folder: for the results.
        epochs: of the training, 10 steps each.

    Raises: ValueError if nilearn or matplotlib is not installed.
    """
    brain = load_template()
    model = train(brain, folder, epochs)
    logits = sliding_window(model, brain.image[..., None], PATCH, progress=bar("sliding window"))
    prediction = classes_of(logits)
    halves = {"back": np.s_[:, : brain.front], "front": np.s_[:, brain.front :]}
    scores = {
        part: [
            row.dice for row in overlaps(brain.labels[half], prediction[half], range(len(CLASSES)))
        ]
        for part, half in halves.items()
    }
    with replacing(folder / "model.keras") as beside:
        model.save(beside)
    with replacing(folder / "segmentation.nii.gz") as beside:
        nibabel.save(nibabel.Nifti1Image(prediction, brain.affine), beside)
    draw(brain, prediction, scores["front"], folder)
    say("Dice            back (trained on)  front (unseen)")
    for label, name in enumerate(CLASSES[1:], 1):
        say(f"{name:<16}{scores['back'][label]:>17.4f}{scores['front'][label]:>16.4f}")
    say(f"\n{CAVEAT}\n\nThe files are in {folder}.")


def load_template() -> Brain:
    """nilearn's MNI152 template at 2 mm, with a label for each voxel."""
    check_demo()
    from nilearn import datasets

    template = datasets.load_mni152_template(resolution=2)
    gray = datasets.load_mni152_gm_template(resolution=2).get_fdata()
    white = datasets.load_mni152_wm_template(resolution=2).get_fdata()
    brain = datasets.load_mni152_brain_mask(resolution=2).get_fdata() > 0
    labels = np.select([gray > 0.5, white > 0.5, brain], [1, 2, 3], 0)
    image = template.get_fdata(dtype="float32")
    front = image.shape[1] // 2
    image = (image - image[:, :front].mean()) / image[:, :front].std()
    return Brain(image, labels, template.affine, front)


def train(brain: Brain, folder: Path, epochs: int) -> keras.Model:
    """Train with ``fit`` on patches of the back, or resume from an earlier run's checkpoint."""
    model, done = resume(folder)
    if model is None:
        keras.utils.set_random_seed(SEED)
        model = build("unet3d_2_5m", input_shape=(None, None, None, 1), num_classes=len(CLASSES))
        optimizer = make_optimizer(
            "adam", learning_rate=3e-3, schedule="cosine", steps=epochs * STEPS, clip=None
        )
        compile_model(model, optimizer=optimizer)
    else:
        _check_same_run(model, folder, epochs)
        print(f"going on after epoch {done} of {epochs}, from {folder}", file=sys.stderr)
    back = (brain.image[:, : brain.front, :, None], brain.labels[:, : brain.front])
    patches = PatchDataset(
        [back], patch=PATCH, batch_size=2, augment=VARY, seed=SEED, first_batch=done * STEPS
    )
    with contextlib.closing(ShowEpochs("the demo")) as shown:
        model.fit(
            patches,
            shuffle=False,
            steps_per_epoch=STEPS,
            epochs=epochs,
            initial_epoch=done,
            verbose=0,
            callbacks=[SaveRun(folder, first_epoch=done), shown],
        )
    return model


def _check_same_run(model: keras.Model, folder: Path, epochs: int) -> None:
    """Refuse another number of epochs: the learning rate decays to 0 over those of the start."""
    begun = model.optimizer.get_config()["learning_rate"]["config"]["decay_steps"] // STEPS
    if begun != epochs:
        raise ValueError(
            f"--epochs {epochs}: the run in {folder} was begun for {begun}; give --epochs {begun} "
            "to resume it, or another folder with -o."
        )


def draw(brain: Brain, prediction: np.ndarray, scores: list[float], folder: Path) -> None:
    """One picture: image, truth and prediction in two planes, and the curves of the training."""
    from matplotlib.colors import ListedColormap
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    colors = ["#00000000", "#0072B2", "#F0E442", "#CC79A7"]
    figure = Figure(figsize=(15, 8), layout="constrained")
    figure.suptitle(
        "unet3d_2_5m on the MNI152 template: trained left of the dashed line, the back; tested "
        f"right of it, the front (Dice grey {scores[1]:.3f}, white {scores[2]:.3f})"
    )
    axes = figure.subplots(2, 4, width_ratios=[1, 1, 1, 1.2])
    planes = {
        "from above": lambda volume: volume[:, :, volume.shape[2] // 2],
        "from the side": lambda volume: volume[volume.shape[0] // 2 - 8].T,
    }
    for row, (plane, cut) in enumerate(planes.items()):
        for column, labels in enumerate((None, brain.labels, prediction)):
            axis = axes[row, column]
            axis.imshow(cut(brain.image), cmap="gray", origin="lower")
            if labels is not None:
                axis.imshow(
                    cut(labels), cmap=ListedColormap(colors), vmin=0, vmax=3, origin="lower",
                    alpha=0.75, interpolation="nearest",
                )  # fmt: skip
            axis.axvline(brain.front - 0.5, color="white", linestyle="--", linewidth=1)
            axis.set_title(f"{('image', 'truth', 'prediction')[column]}, {plane}")
            axis.set_axis_off()
    figure.legend(
        handles=[Patch(color=c, label=n) for c, n in zip(colors[1:], CLASSES[1:], strict=True)],
        loc="outside lower left", ncols=3,
    )  # fmt: skip
    history = read_history(folder)
    epochs = [row["epoch"] for row in history]
    axes[0, 3].plot(epochs, [row["loss"] for row in history], marker=".")
    axes[0, 3].set(title="Dice + cross-entropy loss", xlabel="epoch")
    for label, name in enumerate(CLASSES[1:], 1):
        values = [row[f"dice_{label}"] for row in history]
        axes[1, 3].plot(epochs, values, marker=".", color=colors[label], label=name)
    axes[1, 3].set(title="Dice of the training patches", xlabel="epoch", ylim=(0, 1))
    axes[1, 3].legend(fontsize="small")
    with replacing(folder / "demo.png") as beside:
        figure.savefig(beside, dpi=80)
