"""A data set of TFDS on disk: which of its features are images and labels, and its splits."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unetzoo.data.labels import LabelScheme
from unetzoo.utils.choices import TFDS
from unetzoo.utils.text import counted

if TYPE_CHECKING:
    import tensorflow as tf

# What TFDS does not say: the class of each number, and the classes' names.
KNOWN: dict[str, tuple[dict[int, int], tuple[str, ...]]] = {
    "oxford_iiit_pet": ({2: 0, 1: 1, 3: 2}, ("background", "pet", "border")),
}
NAME = re.compile(r"\w+(/[\w.=,-]+)?(:[\d.*]+)?")  # name, config, version; no other register


@dataclass(frozen=True, eq=False)
class Source:
    """What ``find`` gives."""

    builder: Any  # tfds.core.DatasetBuilder
    image: str  # a feature
    mask: str  # a feature
    scheme: LabelScheme  # of the mask's numbers
    class_names: tuple[str, ...]  # of class 0, 1 ...; () if unknown

    def __str__(self) -> str:
        """One line: the splits, the features and the classes."""
        names = f" ({', '.join(self.class_names)})" if self.class_names else ""
        return (
            f"{self.builder.info.full_name}: {_splits(self.builder)}; {self.image!r} and "
            f"{self.mask!r}, {counted(self.classes, 'class')}{names}"
        )

    @property
    def classes(self) -> int:
        """How many there are."""
        return self.scheme.num_classes

    def count(self, split: str) -> int:
        """How many examples a split or a slice of one has: ``count("train[:80%]")``.

        Raises: as ``read``.
        """
        return int(self.read(split).cardinality())

    def read(self, split: str, names: bool = False) -> "tf.data.Dataset":
        """The examples in their order on disk: {feature: value}, and "tfds_id" with names.

        Images are not decoded yet. The names of the slices are TFDS's: ``"train[80%:]"``.
        Raises: ValueError for a data set that is not on disk, or a split that has no examples.
        """
        import tensorflow_datasets as tfds

        keys = (self.image, self.mask)
        pictures = [key for key in keys if _is_picture(self.builder.info.features[key])]
        decoders = tfds.decode.PartialDecoding(
            dict.fromkeys(keys, True),
            decoders={key: tfds.decode.SkipDecoding() for key in pictures},
        )
        config = tfds.ReadConfig(try_autocache=False, add_tfds_id=names)
        try:
            examples = self.builder.as_dataset(split=split, decoders=decoders, read_config=config)
        except AssertionError:
            raise ValueError(_not_on_disk(self.builder)) from None
        except (ValueError, KeyError, NotImplementedError):
            examples = None
        if examples is None or examples.cardinality() == 0:
            raise ValueError(
                f"split {split!r}: {self.builder.name} has {_splits(self.builder)}; expected one "
                "of these, or a slice that is not empty, such as 'train[:80%]'."
            )
        return examples


def find(
    name: str,
    *,
    image: str | None = None,
    mask: str | None = None,
    classes: int | None = None,
    labels: Mapping[int, int] | None = None,
    ignore: int | None = None,
    data_dir: Path | str | None = None,
) -> Source:
    """A data set of TFDS by its name: ``tfds:oxford_iiit_pet``, or without the prefix.

    The mask is the one feature that is a labelled image or, where there is none, an image of one
    channel; the image is the one image besides. Nothing is downloaded.

    Args:
        name: of a builder, or of a data set in data_dir.
        image, mask: the features, where the types leave a choice.
        classes, labels, ignore: as in ``LabelScheme``; not needed where TFDS counts the mask's
            classes, nor for oxford_iiit_pet: its 2, 1, 3 are background 0, pet 1 and border 2.
        data_dir: where TFDS keeps its data; None for TFDS's own default.

    Raises: ValueError where tensorflow_datasets is missing, the name is unknown, there are no such
        features, or nothing says what the labels are.

    >>> find("tfds:oxford_iit_pet")
    Traceback (most recent call last):
    ...
    ValueError: data set 'oxford_iit_pet': unknown to TFDS; try oxford_iiit_pet.
    """
    builder = _builder(name.removeprefix(TFDS), data_dir)
    features = _named_features(builder)
    mask = _chosen(builder, "mask", mask, _masks(features))
    others = [key for key in _pictures(features) if key != mask]
    image = _chosen(builder, "image", image, others)
    if classes is not None or labels is not None:
        names: tuple[str, ...] = ()
    elif builder.name in KNOWN:
        labels, names = KNOWN[builder.name]
    else:
        classes = getattr(features[mask], "num_classes", None)
        names = tuple(getattr(features[mask], "names", None) or ())
    if classes is None and labels is None:
        raise ValueError(
            f"data set {builder.name!r}: TFDS does not say what the numbers of {mask!r} mean; give "
            "classes=, or labels= with the class of each number."
        )
    return Source(builder, image, mask, LabelScheme(classes, labels, ignore), names)


def _builder(name: str, data_dir: Path | str | None) -> Any:
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise ValueError(
            f"{error.name} is not installed: data sets of TFDS need it; run "
            "pip install 'unetzoo[datasets]'."
        ) from error
    given = f"data set {name!r}"
    if not NAME.fullmatch(name):
        raise ValueError(f"{given}: expected a name of TFDS such as 'oxford_iiit_pet'.")
    try:
        return tfds.builder(name, data_dir=data_dir)
    except tfds.core.DatasetNotFoundError:
        near = get_close_matches(name, sorted(set(tfds.list_builders())), n=3)
        advice = f"try {' or '.join(near)}" if near else "tfds.list_builders() lists all names"
        raise ValueError(f"{given}: unknown to TFDS; {advice}.") from None
    except (AssertionError, ValueError, RuntimeError, OSError) as error:  # config, version
        reason = " ".join(str(error).split('}": ')[-1].split())
        raise ValueError(f"{given}: {reason[:200].rstrip('.')}.") from error


def _named_features(builder: Any) -> dict[str, Any]:
    import tensorflow_datasets as tfds

    features = builder.info.features
    return dict(features.items()) if isinstance(features, tfds.features.FeaturesDict) else {}


def _is_picture(feature: Any) -> bool:
    import tensorflow_datasets as tfds

    return isinstance(feature, tfds.features.Image)


def _pictures(features: Mapping[str, Any]) -> list[str]:
    return sorted(key for key, feature in features.items() if _is_picture(feature))


def _masks(features: Mapping[str, Any]) -> list[str]:
    """The features that look like masks by their type."""
    import tensorflow_datasets as tfds

    pictures = _pictures(features)
    labelled = [k for k in pictures if isinstance(features[k], tfds.features.LabeledImage)]
    if labelled or len(pictures) < 2:
        return labelled
    return [key for key in pictures if features[key].shape[-1] == 1]


def _chosen(builder: Any, what: str, named: str | None, found: list[str]) -> str:
    """The feature that was named, or the one that was found."""
    features = _named_features(builder)
    planes = [
        key for key, of in features.items() if len(getattr(of, "shape", None) or ()) in (2, 3)
    ]
    if named in planes:
        return named
    if named is not None:
        given = f"{what} {named!r}: {builder.name} has no such feature"
        raise ValueError(f"{given} of rows and columns; expected one of {planes or 'none'}.")
    if not found:
        there = ", ".join(sorted(features)) or "no names"
        raise ValueError(
            f"data set {builder.name!r}: no segmentation {what} among its features ({there}); "
            "expected images, and masks of their size."
        )
    if len(found) > 1:
        raise ValueError(
            f"data set {builder.name!r}: expected one {what}; give {what}=, of {found}."
        )
    return found[0]


def _splits(builder: Any) -> str:
    splits = builder.info.splits
    return ", ".join(f"{key} ({splits[key].num_examples})" for key in splits) or "unknown splits"


def _not_on_disk(builder: Any) -> str:
    name, place = builder.name, str(builder.data_dir_root)
    name += f"/{builder.info.config_name}" if builder.info.config_name else ""
    name += f":{builder.info.version}"
    code = f"tfds.builder({name!r}, data_dir={place!r}).download_and_prepare()"
    return (
        f"data set {name!r}: not on disk in {place}; to download and prepare it, run: "
        f'python -c "import tensorflow_datasets as tfds; {code}"'
    )
