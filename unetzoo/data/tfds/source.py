"""A TFDS data set on disk: which of its features are images and labels, and its splits."""

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

# What TFDS does not tell: the class of each number, and the classes' names.
KNOWN: dict[str, tuple[dict[int, int], tuple[str, ...]]] = {
    "oxford_iiit_pet": ({2: 0, 1: 1, 3: 2}, ("background", "pet", "border")),
}
NAME = re.compile(
    r"\w+(/[\w.=,-]+)?(:[\d.*]+)?"
)  # name, config, version; not from another registry


@dataclass(frozen=True, eq=False)
class Source:
    """A data set that ``find`` found on disk; ``str`` is one line about it."""

    builder: Any  # tfds.core.DatasetBuilder
    image: str  # name of the feature
    mask: str  # name of the feature
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
        """The number of classes."""
        return self.scheme.num_classes

    def count(self, split: str) -> int:
        """The number of examples in a split or a slice of one: ``count("train[:80%]")``.

        Raises: ValueError as ``read`` does.
        """
        return int(self.read(split).cardinality())

    def read(self, split: str, names: bool = False) -> "tf.data.Dataset":
        """The examples in their order on disk: {feature: value}, images not decoded yet.

        Args:
            split: a split or a slice in TFDS's notation: ``"train[80%:]"``.
            names: whether to add each example's name, "tfds_id".

        Raises: ValueError for a data set that is not on disk, or a split without examples.
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
                "of these, or a non-empty slice such as 'train[:80%]'."
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
    """Find a TFDS data set by its name: ``tfds:oxford_iiit_pet``, or without the prefix.

    The mask is the feature that is a labeled image or, if there is none, an image of one channel;
    the image is the other image. Nothing is downloaded.

    Args:
        name: of a builder, or of a data set in data_dir.
        image: name of the image feature, if there are several.
        mask: name of the mask feature, if there are several.
        classes: the number of classes, as in ``LabelScheme``; needed if TFDS does not know it.
        labels: the class of each number in the masks, as in ``LabelScheme``. For oxford_iiit_pet it
            is known: 2, 1, 3 are background 0, pet 1 and border 2.
        ignore: the number of pixels that do not count.
        data_dir: where TFDS keeps its data; None: TFDS's own default.

    Raises: ValueError if tensorflow_datasets is missing, the name is unknown, there are no such
        features, or nothing says what the labels mean.

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
            f"{error.name} is not installed, but TFDS data sets need it; run "
            "pip install 'unetzoo[datasets]'."
        ) from error
    given = f"data set {name!r}"
    if not NAME.fullmatch(name):
        raise ValueError(f"{given}: expected a TFDS name such as 'oxford_iiit_pet'.")
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
    labeled = [k for k in pictures if isinstance(features[k], tfds.features.LabeledImage)]
    if labeled or len(pictures) < 2:
        return labeled
    return [key for key in pictures if features[key].shape[-1] == 1]


def _chosen(builder: Any, what: str, named: str | None, candidates: list[str]) -> str:
    """The feature that the caller named, or else the only candidate."""
    features = _named_features(builder)
    shapes = {key: getattr(feature, "shape", None) or () for key, feature in features.items()}
    planes = [key for key, shape in shapes.items() if len(shape) in (2, 3)]
    if named in planes:
        return named
    if named is not None:
        given = f"{what} {named!r}: {builder.name} has no such feature"
        raise ValueError(f"{given} of rows and columns; expected one of {planes or 'none'}.")
    if not candidates:
        there = ", ".join(sorted(features)) or "no names"
        raise ValueError(
            f"data set {builder.name!r}: no segmentation {what} among its features ({there}); "
            "expected images, and masks of their size."
        )
    if len(candidates) > 1:
        raise ValueError(
            f"data set {builder.name!r}: several features may be its {what}; give {what}=, "
            f"one of {candidates}."
        )
    return candidates[0]


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
