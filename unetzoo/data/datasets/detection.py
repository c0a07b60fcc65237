"""Which layout a data set has, and what its labels mean."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from unetzoo.data.datasets.brats import find_brats, has_brats
from unetzoo.data.datasets.case import Case, Dataset, Listing
from unetzoo.data.datasets.csv_table import find_table
from unetzoo.data.datasets.decathlon import find_decathlon
from unetzoo.data.datasets.manifest import read_manifest
from unetzoo.data.datasets.nnunet import find_nnunet
from unetzoo.data.datasets.patterns import find_patterns, find_pictures, has_pictures
from unetzoo.data.datasets.verification import check_listing
from unetzoo.data.io.units import Spacing
from unetzoo.data.labels import LabelScheme
from unetzoo.utils.choices import NORMALIZATIONS

LAYOUTS = ("msd", "nnunet", "brats", "csv", "glob", "pictures")

Place = Path | str | Sequence[str]


def find_dataset(
    place: Place,
    layout: str | None = None,
    *,
    labels: Mapping[int, int] | None = None,
    classes: int | None = None,
    ignore: int | None = None,
    threshold: float | None = None,
    geometry: str = "header",
    file_spacing: Spacing | None = None,
    normalisation: Sequence[str] | None = None,
) -> Dataset:
    """Find the cases of a data set: their files, and what their labels mean. No image is read.

    Args:
        place: a folder or its dataset.json; a .csv file; or patterns such as
            ``"images/*.nii.gz;labels/*.nii.gz"``, the last one for the labels, also as a list.
        layout: "msd", "nnunet", "brats", "csv", "glob" or "pictures"; None: look and see.
        labels: the class of each number in the label files, in place of what the layout says.
        classes: the number of classes, in place of what the layout says.
        ignore: the number that marks voxels that do not count, in place of what the layout says.
        threshold: of masks in gray: what is above is class 1.
        geometry: "image" if labels lie on the voxels of their image whatever their headers say.
        file_spacing: of the axes Z, Y, X, millimeters, for volumes that state none, such as TIFF.
        normalisation: of each channel, in place of what its name says: zscore, CT, noNorm,
            rescale_to_0_1 or rgb_to_0_1.

    Raises: ValueError, one sentence, or a line for each of several faults.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> for part in ("images", "masks"):
    ...     (folder / part).mkdir()
    ...     (folder / part / "cell.png").touch()
    >>> print(find_dataset(folder, classes=2))
    pictures: 1 case with labels, 0 without
    """
    given = LabelScheme(classes, labels, ignore, threshold=threshold, geometry=geometry)
    if normalisation is not None and not set(normalisation) <= set(NORMALIZATIONS):
        known = ", ".join(NORMALIZATIONS)
        raise ValueError(
            f"normalisation {normalisation}: expected for each channel one of {known}."
        )
    name = layout or layout_of(place)
    if name not in LAYOUTS:
        raise ValueError(f"layout {layout!r}: expected one of {', '.join(LAYOUTS)}.")
    listing = _listing(name, place, regions=given.mapping is None)
    check_listing(listing, _text(place))
    scheme = _scheme(given, listing)
    return Dataset(
        layout=name,
        cases=_sorted(listing.cases, file_spacing),
        test=_sorted(listing.test, file_spacing),
        scheme=scheme,
        class_names=_class_names(scheme, listing),
        channel_names=listing.channel_names if normalisation is None else tuple(normalisation),
    )


def _sorted(cases: Iterable[Case], spacing: Spacing | None) -> tuple[Case, ...]:
    return tuple(
        replace(case, spacing=spacing) for case in sorted(cases, key=lambda case: case.name)
    )


def _listing(layout: str, place: Place, regions: bool) -> Listing:
    if layout == "glob":
        return find_patterns(_patterns(place))
    if not isinstance(place, str | Path):
        raise ValueError(f"{_text(place)}: expected a single path for layout {layout!r}.")
    path = Path(place)
    if layout == "csv":
        return find_table(path)
    folder = path.parent if path.name == "dataset.json" and path.is_file() else path
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder; expected one for layout {layout!r}.")
    if layout == "nnunet":
        return find_nnunet(folder, regions=regions)
    finders: dict[str, Callable[[Path], Listing]] = {
        "msd": find_decathlon,
        "brats": find_brats,
        "pictures": find_pictures,
    }
    return finders[layout](folder)


def layout_of(place: Place) -> str:
    """The layout of a data set, one of ``LAYOUTS``; no case is looked for.

    Raises: ValueError for a place that does not exist, or has no known layout.

    >>> layout_of("images/*.png;masks/*.png")
    'glob'
    """
    if not isinstance(place, str | Path) or "*" in str(place):
        return "glob"
    path = Path(place)
    if path.is_file() and path.suffix.lower() == ".csv":
        return "csv"
    folder = path.parent if path.name == "dataset.json" else path
    if not folder.is_dir():
        raise ValueError(
            f"{place}: expected a folder, a .csv file, or two patterns such as "
            "'images/*.nii.gz;labels/*.nii.gz'."
        )
    try:
        return _layout_of(folder)
    except OSError as error:
        raise ValueError(f"{folder}: cannot be read ({error.strerror or error}).") from error


def _layout_of(folder: Path) -> str:
    if (folder / "dataset.json").exists():
        manifest = read_manifest(folder / "dataset.json")
        return "msd" if "training" in manifest and "channel_names" not in manifest else "nnunet"
    if (folder / "imagesTr").is_dir():
        return "nnunet"
    if has_pictures(folder):
        return "pictures"
    if has_brats(folder):
        return "brats"
    raise ValueError(
        f"{folder}: no data set found; looked for dataset.json (msd, nnunet), imagesTr and "
        "labelsTr (nnunet), images and masks or labels (pictures), NAME.png with NAME_mask.png "
        "(pictures) and folders of BraTS cases (brats); a .csv file or two patterns such as "
        "'images/*.nii.gz;labels/*.nii.gz' work as well."
    )


def _patterns(place: Place) -> list[str]:
    parts = str(place).split(";") if isinstance(place, str | Path) else place
    return [str(part).strip() for part in parts]


def _text(place: Place) -> str:
    return str(place) if isinstance(place, str | Path) else ";".join(str(part) for part in place)


def _scheme(given: LabelScheme, listing: Listing) -> LabelScheme:
    """What the caller gave, or else what the layout says; a mapping only if one is needed."""
    if given.mapping is not None:
        usual = listing.ignore if listing.ignore not in given.mapping else None
        ignore = given.ignore if given.ignore is not None else usual
        return replace(given, ignore=ignore)
    ignore = given.ignore if given.ignore is not None else listing.ignore
    regions = listing.regions
    known = (0, *regions.numbers) if regions else (listing.labels or {}).values()
    numbers = sorted({*known} - {ignore})
    if not numbers:
        return replace(given, ignore=ignore)
    if numbers == list(range(len(numbers))):
        return replace(given, classes=len(numbers), ignore=ignore, regions=regions)
    labels = {n: label for label, n in enumerate(numbers)}
    return replace(given, labels=labels, ignore=ignore, regions=regions)


def _class_names(scheme: LabelScheme, listing: Listing) -> tuple[str, ...]:
    """The name of each class or region; several joined by + if labels= puts them together."""
    if scheme.regions:
        return listing.region_names
    labels = listing.labels or {}
    mapping = scheme.mapping or {}
    names: dict[int, list[str]] = {label: [] for label in sorted(set(mapping.values()))}
    for name, number in sorted(labels.items(), key=lambda item: item[1]):
        if number in mapping:
            names[mapping[number]].append(name)
    return tuple("+".join(joined) for joined in names.values()) if all(names.values()) else ()
