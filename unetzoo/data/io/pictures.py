"""2D pictures in and out through Pillow: PNG, TIFF, BMP and JPEG images, lossless masks.

An image is ``(H, W, C)``, a mask is ``(H, W)``: rows from the top, columns from the left, as the
pixels are stored; values are the file's own, nothing is scaled. An alpha channel is dropped
if every pixel is opaque, and an error otherwise. A palette image is read as its colors, a palette
mask as its indices.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.ImageFile import ImageFile

from unetzoo.data.io import Paths
from unetzoo.data.io.stacks import is_stack
from unetzoo.data.labels import LabelScheme
from unetzoo.utils.files import missing, replacing

LOSSLESS = (".png", ".tif", ".tiff", ".bmp")
SUFFIXES = (*LOSSLESS, ".jpg", ".jpeg")
FORMATS = ("PNG", "TIFF", "BMP", "JPEG")  # Pillow's
GRAY = ("1", "L", "I", "I;16", "I;16B", "I;16L", "F")  # Pillow's modes with one number per pixel
STEPS = {"L;2": 85, "L;4": 17}  # by which Pillow multiplies gray values of fewer than 8 bits
ORIENTATION, BITS = 274, 258  # tags of EXIF and TIFF


@dataclass(frozen=True)
class PictureFile:
    """A file that was read."""

    path: Path
    shape: tuple[int, int]  # rows, columns
    channels: int


@dataclass(frozen=True, eq=False)
class Picture:
    """An image or a mask, and the files it came from."""

    data: np.ndarray  # image (H, W, C), float32; mask (H, W), uint8 or a larger type of integers
    files: tuple[PictureFile, ...]

    @property
    def spacing(self) -> tuple[float, ...]:
        """A pixel's size: pictures are measured in pixels."""
        return 1.0, 1.0


def is_picture(path: Path | str) -> bool:
    """Whether a file is a PNG, TIFF, BMP or JPEG by its name; a TIFF of several slices is a volume.

    >>> is_picture("slice.PNG"), is_picture("scan.nii.gz")
    (True, False)
    """
    name = Path(path).name.lower()
    if name.endswith((".tif", ".tiff")):
        return not is_stack(Path(path))
    return name.endswith(SUFFIXES)


def read_picture(paths: Paths, *, fill: float | None = None) -> Picture:
    """Read one image from a file, or from several of the same size that hold its channels.

    Args:
        paths: PNG, TIFF (one page), BMP or JPEG; gray of 8, 16 or 32 bits, colors of 8, a palette.
        fill: replaces NaN and infinite pixels of a TIFF; without it they are an error.

    Raises: ValueError, one sentence that names the file and what is wrong with it.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "cell.png"
    >>> Image.fromarray(np.arange(6, dtype="uint8").reshape(2, 3)).save(path)
    >>> picture = read_picture(path)
    >>> picture.data.shape, picture.spacing
    ((2, 3, 1), (1.0, 1.0))
    """
    listed = [Path(path) for path in ([paths] if isinstance(paths, str | Path) else paths)]
    if not listed:
        raise ValueError("an image without files: expected at least one path.")
    parts = [_finite(_image_values(path), path, fill) for path in listed]
    files = tuple(
        PictureFile(path, part.shape[:2], part.shape[2])
        for path, part in zip(listed, parts, strict=True)
    )
    for file in files[1:]:
        check_sizes(files[0], file)
    return Picture(parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-1), files)


def read_mask(path: Path | str, scheme: LabelScheme) -> Picture:
    """Read a mask as classes: one whole number per pixel, or an index into a palette.

    A class may be missing in one mask: ``LabelScheme.without_gap`` looks at all masks together.

    Raises: ValueError for a damaged file, colors, a JPEG, and numbers that are not labels.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "mask.png"
    >>> Image.fromarray(np.array([[0, 255]], "uint8")).save(path)
    >>> read_mask(path, LabelScheme(labels={0: 0, 255: 1})).data
    array([[0, 1]], dtype=uint8)
    """
    path = Path(path)
    values = _gray_values(path, LOSSLESS, "label")
    _check_black_and_white(values, path, scheme)
    classes = scheme.to_classes(scheme.numbers(values, path))
    return Picture(classes, (PictureFile(path, values.shape, 1),))


def read_size(path: Path | str) -> PictureFile:
    """The size and channels of a picture, without reading its pixels.

    Raises: ValueError for a file that is not a picture.
    """
    path = Path(path)
    with _opened(path, SUFFIXES) as (image, _):
        return PictureFile(path, (image.height, image.width), len(image.getbands()))


def read_pixel_weights(path: Path | str) -> np.ndarray:
    """A gray picture's values ``(H, W)`` as float32, as they are in the file.

    Raises: ValueError for a damaged file, colors or a JPEG.
    """
    return _gray_values(Path(path), LOSSLESS, "weight").astype("float32")


def write_mask(path: Path | str, classes: np.ndarray, like: Picture, scheme: LabelScheme) -> None:
    """Write classes ``(H, W)`` as a gray PNG of 8 or 16 bits, as the numbers they come from.

    Raises: ValueError for a shape that is not the picture's, an unknown class, a number that a PNG
    cannot hold, or a file that cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise ValueError(
            f"{path}: expected a name that ends in .png, which keeps labels unchanged."
        )
    if classes.shape != like.files[0].shape:
        raise ValueError(
            f"{path}: an array of shape {classes.shape}; expected the pixels of "
            f"{like.files[0].path}, {like.files[0].shape}."
        )
    if any(path.resolve() == file.path.resolve() for file in like.files):
        raise ValueError(f"{path}: this file was read; give the result another name.")
    numbers = scheme.to_numbers(classes, path)
    if numbers.min() < 0 or numbers.max() > 65535:
        raise ValueError(
            f"{path}: labels from {numbers.min()} to {numbers.max()}; a PNG holds 0 to 65535."
        )
    image = Image.fromarray(numbers.astype("uint8" if numbers.max() < 256 else "uint16"))
    with replacing(path) as beside:
        image.save(beside, format="PNG")


def check_sizes(picture: PictureFile, other: PictureFile) -> None:
    """Raises: ValueError if two pictures differ in size."""
    if picture.shape != other.shape:
        raise ValueError(
            f"{other.path}: {other.shape} pixels (rows, columns), but {picture.path} has "
            f"{picture.shape}; expected a pixel for every pixel."
        )


def _image_values(path: Path) -> np.ndarray:
    with _opened(path, SUFFIXES) as (image, raw):
        _check_upright(image)
        if image.mode == "P":
            values = np.asarray(image.convert("RGB"))
        elif image.mode in (*GRAY, "RGB", "RGBA", "LA"):
            values = _stored(image, raw)
        else:
            raise _Refused(f"a picture of mode {image.mode}; expected gray, RGB or a palette.")
        if image.mode in ("RGBA", "LA"):
            if values[..., -1].min() < 255:
                raise _Refused("some pixels are not opaque; save it without the alpha channel.")
            values = values[..., :-1]
    return values.astype("float32").reshape(*values.shape[:2], -1)


def _gray_values(path: Path, suffixes: tuple[str, ...], what: str) -> np.ndarray:
    with _opened(path, suffixes) as (image, raw):
        _check_upright(image)
        if image.format not in ("PNG", "TIFF", "BMP") or image.info.get("compression") == "jpeg":
            raise _Refused(f"JPEG changes every {what}; save it as PNG.")
        if image.mode not in (*GRAY, "P") or (image.mode == "P" and what == "weight"):
            raise _Refused(
                f"a picture of mode {image.mode}; expected one number per pixel: save each "
                f"pixel's {what} as gray."
            )
        return _stored(image, raw)


class _Refused(Exception):
    """An intact picture that cannot be used here."""


@contextmanager
def _opened(path: Path, suffixes: tuple[str, ...]) -> Iterator[tuple[ImageFile, str]]:
    """A picture that is not read yet, and how its pixels are stored, in Pillow's words.

    Raises: ValueError that names the picture for whatever goes wrong.
    """
    if not path.name.lower().endswith(suffixes):
        raise ValueError(f"{path}: expected a name that ends in {', '.join(suffixes)}.")
    if reason := missing(path):
        raise ValueError(f"{path}: {reason}; expected a picture.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(path, formats=FORMATS)
        with image:
            raw = " ".join(_raw_mode(tile) for tile in image.tile[:4])  # gone once it is read
            _check_parts(image, raw)
            yield image, raw
    except _Refused as error:
        raise ValueError(f"{path}: {error}") from None
    except UnidentifiedImageError as error:
        raise ValueError(f"{path}: not a PNG, TIFF, BMP or JPEG ({_start(path)}).") from error
    except Image.DecompressionBombError as error:
        raise ValueError(
            f"{path}: more pixels than are safe to unpack ({error}); cut it into smaller pictures."
        ) from error
    except Exception as error:  # of a damaged file Pillow raises nearly anything
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())
        reason = reason or type(error).__name__
        raise ValueError(
            f"{path}: Pillow cannot read it ({reason}); copy or export it again."
        ) from error


def _check_parts(image: ImageFile, raw: str) -> None:
    frames = getattr(image, "n_frames", 1)
    if frames > 1:
        raise _Refused(f"{frames} pictures in one file; save each as a separate file.")
    bits = getattr(image, "tag_v2", {}).get(BITS, ())
    if image.mode not in GRAY and (max(bits, default=8) > 8 or ";16" in raw):
        raise _Refused("colors of 16 bits, of which Pillow reads 8; save each channel as gray.")
    boxes = {tile[1] or (0, 0, 0, 0) for tile in image.tile}
    held = sum((right - left) * (low - high) for left, high, right, low in boxes)
    if held < image.width * image.height:
        raise _Refused(
            f"it holds {held} of {image.width} x {image.height} pixels; export it again."
        )


def _check_upright(image: ImageFile) -> None:
    if image.getexif().get(ORIENTATION, 1) not in (0, 1):
        raise _Refused("its EXIF data ask for it to be turned; save it with its pixels upright.")


def _stored(image: ImageFile, raw: str) -> np.ndarray:
    """The numbers in the file: Pillow scales gray values of 2 and 4 bits to 0 to 255."""
    values = np.asarray(image)
    if image.mode == "1":
        return values.astype("uint8")
    return values // np.uint8(STEPS[raw[:3]]) if raw[:3] in STEPS else values


def _raw_mode(tile: tuple) -> str:
    arguments = tile[3]
    return str(arguments[0] if isinstance(arguments, tuple) else arguments)


def _start(path: Path) -> str:
    with path.open("rb") as stream:
        start = stream.read(8)
    return f"it begins with {start!r}" if start else "it is empty"


def _finite(values: np.ndarray, path: Path, fill: float | None) -> np.ndarray:
    invalid = ~np.isfinite(values)
    if invalid.any():
        if fill is None:
            raise ValueError(
                f"{path}: {np.count_nonzero(invalid)} of {invalid.size} pixels are NaN or "
                "infinite; give fill=0 to replace them."
            )
        values = np.where(invalid, np.float32(fill), values)
    return values


def _check_black_and_white(values: np.ndarray, path: Path, scheme: LabelScheme) -> None:
    known = {*(scheme.mapping or {}), scheme.ignore}
    if 255 not in known and {255} <= {*np.unique(values).tolist()} <= {0, 255}:
        raise ValueError(
            f"{path}: a black and white mask of 0 and 255; give labels={{0: 0, 255: 1}}."
        )
