"""What a crop or a pad does to the sizes, as a sum that a reader can check."""

from itertools import groupby

from audit.tables import Row, Shape

AT_THE_END = ("CropToMultiple", "TensorFlowOpLayer")


def sums(before: Shape, row: Row) -> tuple[str, ...]:
    """One sum for each axis, or run of equal axes, that a crop or pad changes.

    >>> sums((None, 64, 64, 512), Row("crop", "CropToMatch", (None, 56, 56, 512)))
    ('64 - 2 x 4 = 56',)
    >>> sums((None, 24, 24, 8), Row("pad", "PadToMatch", (None, 25, 25, 8)))
    ('24 + 1 = 25',)
    """
    if len(before) != len(row.shape):
        return ()
    axes = zip(before[1:-1], row.shape[1:-1], strict=True)
    changed = [(old, new) for old, new in axes if old and new and old != new]
    return tuple(_sum(*sizes, row.layer_class) for sizes, _ in groupby(changed))


def _sum(old: int, new: int, kind: str) -> str:
    """Equal sides are written 2 x n; else what is taken or added before and after the map."""
    sign, much = ("-", old - new) if new < old else ("+", new - old)
    if kind in AT_THE_END:
        return f"{old} {sign} {much} = {new}"
    if much % 2 == 0:
        return f"{old} {sign} 2 x {much // 2} = {new}"
    parts = [part for part in (much // 2, much - much // 2) if part]
    return f"{old} " + " ".join(f"{sign} {part}" for part in parts) + f" = {new}"


def in_words(fits: tuple[Row, ...], sums: tuple[str, ...]) -> str:
    """The crops and pads of a way in one phrase, also if the sizes already match."""
    if not fits:
        return "copied unchanged"
    verbs = list(dict.fromkeys("cropped" if _crops(row) else "padded" for row in fits))
    if not sums:
        return "the sizes already match; nothing is " + " or ".join(verbs)
    return f"{' and '.join(verbs)}: {', '.join(sums)}"


def _crops(row: Row) -> bool:
    return row.layer_class.startswith("Crop") or row.layer_class == "TensorFlowOpLayer"
