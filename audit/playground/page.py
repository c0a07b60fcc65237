"""The page: a picture, its mask, a switch for each skip, and every combination's numbers."""

import base64
import io
import math
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.resources import files

import numpy as np
import scipy
from PIL import Image

from audit.html_report.page import document
from audit.html_report.text import escape
from audit.playground import drawing
from audit.playground.measuring import BOUNDARY, Combination, Measured, in_words, number, which
from audit.playground.switches import Skip
from unetzoo.utils.colors import rgb_of
from unetzoo.utils.text import counted, few
from unetzoo.visualization.sheet import class_name
from unetzoo.visualization.slices import enlarged, shown

SIDE = 512  # pixels, at most, of the picture; scores are those of the whole image
FILL = 150  # of 255, how much a mask covers
OUTLINE = (255, 255, 255)
ABOUT = (
    "A switch that is off puts zeros where the skip would join the decoder; everything else is as "
    "it was trained. Every mask was computed by the network; nothing is computed on this page."
)
WITHOUT = "Without scripts the mask with every skip on is shown; the table has the other scores."
MEANING = (
    "An object is a connected part of a class in {reference}. It is missed if less than half of it "
    "is found. The boundary distance is how far the outlines of the other objects are from those "
    "of the mask, on average, in {unit}."
)


def page_of(measured: Measured) -> str:
    """The whole page."""
    scene, whole = measured.scene, measured.combinations[0]
    title = f"What each skip does: {scene.network}"
    said = in_words(whole, whole, scene.unit)
    where = (
        f", slice {measured.cut!r}; scores are of the whole volume"
        if measured.cut.axis is not None
        else ""
    )
    body = f"""<header><h1>{escape(title)}</h1>
<p class="about">{escape(scene.name)}{escape(where)}. {escape(ABOUT)}</p></header>
<div class="playground">
<section aria-labelledby="switches"><h2 id="switches">Skips</h2>
{drawing.u(len(scene.skips))}
<form class="switches" hidden autocomplete="off">
<fieldset><legend>Switch each skip on or off</legend>
{"".join(_switch(skip, len(scene.skips)) for skip in scene.skips)}</fieldset>
<p class="buttons"><button type="button" data-all="1">All on</button>
<button type="button" data-all="0">All off</button></p>
</form>
<noscript><p>{WITHOUT}</p></noscript>
</section>
<section aria-labelledby="mask"><h2 id="mask">Its mask</h2>
{_picture(measured)}
<p id="said" class="said" role="status" aria-live="polite">{escape(said)}</p>
{_classes(measured)}
</section>
</div>
<section><h2>Every combination</h2>
{_table(measured)}
<p class="key">{escape(_meaning(measured))}</p></section>"""
    return document(title, body, style=_file("page.css"), script=_file("page.js"))


@cache
def _file(name: str) -> str:
    return files("audit.playground").joinpath(name).read_text(encoding="utf-8")


def _meaning(measured: Measured) -> str:
    reference = "the labels" if measured.scene.reference is not None else "that mask"
    unit = {"px": "pixels", "mm": "millimeters"}[measured.scene.unit]
    return f"Compared with {measured.compared}. {MEANING.format(reference=reference, unit=unit)}"


def _switch(skip: Skip, count: int) -> str:
    which = ", the finest" if skip.number == 1 else ", the deepest" if skip.number == count else ""
    inputs = counted(len(skip.joins), "place")
    several = f" (joins in {inputs})" if len(skip.joins) > 1 else ""
    return (
        f'<div class="switch"><input type="checkbox" role="switch" id="skip{skip.number}" checked '
        f'aria-describedby="from{skip.number}"><label for="skip{skip.number}">Skip {skip.number}'
        f'{which}</label><span id="from{skip.number}">{escape(few(skip.maps, 2))}{several}</span>'
        "</div>"
    )


# === The picture ===


def _picture(measured: Measured) -> str:
    scene, whole = measured.scene, measured.combinations[0]
    channels = 3 if measured.cut.axis is None and scene.image.shape[-1] == 3 else 1
    (picture,) = shown([measured.cut.of(scene.image)[..., :channels]])
    high, wide = measured.cut.size(scene.image.shape[:-1], scene.spacing)
    layers = [_layer(_png(picture), "image"), _layer(_masked(whole.mask, scene.ignore), "mask")]
    outline = ""
    if scene.reference is not None:
        labels = enlarged(measured.cut.of(scene.reference), (high, wide))
        layers.append(_layer(_outlined(labels, scene.ignore), "outline"))
        outline = (
            '<p class="see" hidden><input type="checkbox" id="outline" checked>'
            '<label for="outline">Outline of the labels, white</label></p>'
        )
    return (
        f'<div class="view" style="aspect-ratio: {wide:.4g} / {high:.4g}" role="img" '
        f'aria-label="The image with the mask over it" aria-describedby="said">'
        f"{''.join(layers)}</div>{_legend(measured)}{outline}"
    )


def _layer(source: str, css: str) -> str:
    return f'<img class="{css}" alt="" src="{source}">'


def _legend(measured: Measured) -> str:
    present = sorted({int(n) for each in measured.combinations for n in np.unique(each.mask)})
    items = "".join(
        f'<li><span class="swatch" style="background: rgb{rgb_of(n)}"></span>'
        f"{escape(class_name(n, measured.scene.class_names))}</li>"
        for n in present
        if n > 0 and n != measured.scene.ignore
    )
    return f'<ul class="legend">{items}</ul>'


def _small(array: np.ndarray) -> np.ndarray:
    """Every second pixel, or third ..., so that the longer side is not too long."""
    step = math.ceil(max(array.shape[:2]) / SIDE)
    return array[::step, ::step]


def _png(picture: np.ndarray) -> str:
    """A picture ``(rows, columns, 3)``, 0 to 1; one in gray takes a third of the room."""
    pixels = (_small(picture) * 255).round().astype("uint8")
    gray = bool((pixels == pixels[..., :1]).all())
    return _address(Image.fromarray(pixels[..., 0] if gray else pixels))


def _masked(mask: np.ndarray, ignore: int | None) -> str:
    """The classes in their colors, the background clear."""
    labels = _small(np.where((mask < 0) | (mask == ignore), 0, mask))
    present = sorted({int(n) for n in np.unique(labels)} - {0})[:255]
    numbers = np.zeros(labels.shape, "uint8")
    for n, label in enumerate(present, 1):
        numbers[labels == label] = n
    return _paletted(numbers, [rgb_of(label) for label in present], FILL)


def _outlined(labels: np.ndarray, ignore: int | None) -> str:
    """A line within the edge of each class."""
    line = np.zeros(labels.shape, "uint8")
    for label in np.unique(labels[(labels > 0) & (labels != ignore)]):
        line[(labels == label) & ~scipy.ndimage.binary_erosion(labels == label, iterations=2)] = 1
    return _paletted(line, [OUTLINE], 255)


def _paletted(numbers: np.ndarray, colors: Sequence[tuple[int, int, int]], alpha: int) -> str:
    image = Image.fromarray(numbers, "P")
    image.putpalette([part for color in [(0, 0, 0), *colors] for part in color])
    return _address(image, transparency=bytes([0] + [alpha] * len(colors)))


def _address(image: Image.Image, **options: object) -> str:
    held = io.BytesIO()
    image.save(held, "PNG", optimize=True, **options)
    return f"data:image/png;base64,{base64.b64encode(held.getvalue()).decode()}"


# === The numbers ===


def _bits(each: Combination) -> str:
    return "".join("1" if on else "0" for on in each.on)


def _classes(measured: Measured) -> str:
    """The numbers of each class; there is one table for each combination, and one is shown."""
    if len(measured.combinations[0].classes) < 2:
        return ""
    tables = []
    for each in measured.combinations:
        rows = "".join(
            f"<tr><th scope=row>{escape(c.name)}</th>{''.join(_cells(*_class(c)))}</tr>"
            for c in each.classes
        )
        hidden = "" if all(each.on) else " hidden"
        tables.append(
            f'<table class="classes" data-classes="{_bits(each)}"{hidden}><thead><tr>'
            f"<th scope=col>Class</th>{_heads(measured)}</tr></thead><tbody>{rows}</tbody></table>"
        )
    return f'<div class="scroll">{"".join(tables)}</div>'


def _class(each: object) -> tuple[float, float, str]:
    things = each.objects  # type: ignore[attr-defined]
    return each.dice, things.distance, f"{things.missed} of {things.objects}"  # type: ignore[attr-defined]


def _heads(measured: Measured) -> str:
    words = ("Dice", f"{BOUNDARY.capitalize()}, {measured.scene.unit}", "Missed objects")
    return "".join(f'<th scope="col" class="n">{escape(word)}</th>' for word in words)


def _cells(*values: float | str) -> Iterator[str]:
    for value in values:
        text = number(value) if isinstance(value, float) else value
        yield f'<td class="n">{text}</td>'


def _table(measured: Measured) -> str:
    """A row for each combination, with its mask; the script shows the row that is switched."""
    unit, whole = measured.scene.unit, measured.combinations[0]
    rows = []
    for each in measured.combinations:
        cells = _cells(each.dice, each.distance, f"{each.missed} of {each.objects}")
        source = _masked(each.mask, measured.scene.ignore)
        rows.append(
            f'<tr data-on="{_bits(each)}" data-mask="{source}" '
            f'data-said="{escape(in_words(each, whole, unit))}">'
            f'<th scope="row">{escape(which(each.on))}</th>{"".join(cells)}</tr>'
        )
    caption = f"All {len(rows)} combinations, measured"
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{caption}">'
        f'<table class="combinations"><caption>{caption}</caption><thead><tr>'
        f'<th scope="col">Skips</th>{_heads(measured)}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )
