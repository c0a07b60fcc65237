"""A case to draw, and what a figure and its file show: texts, places and colours."""

import numpy as np
from matplotlib.colors import to_rgb
from PIL import Image


def volume():
    """An image in units of its deviation, as training takes it, and labels."""
    shape = (40, 48, 24)
    balls = [((20, 28, 14), 3), ((20, 24, 12), 9)]
    inside = [size > np.linalg.norm(np.indices(shape).T - at, axis=-1).T for at, size in balls]
    labels = np.select(inside, [2, 1], 0).astype("uint8")
    image = labels + 0.2 * np.random.default_rng(0).standard_normal(shape)
    return ((image - image.mean()) / image.std())[..., None].astype("float32"), labels


def boxes(figure):
    """The place of each picture of a figure, pixels from the bottom left."""
    return [axes.images[0].get_window_extent() for axes in figure.axes]


def pixels(figure, path, colour, near=24):
    """Where each picture of a figure has a colour; outlines are a little blended."""
    with Image.open(path) as picture:
        values = np.asarray(picture.convert("RGB"), int)[::-1]
    found = abs(values - np.round(np.multiply(255, to_rgb(colour)))).max(-1) <= near
    places = [np.round(box.extents).astype(int) for box in boxes(figure)]
    return [found[bottom:top, left:right][::-1] for left, bottom, right, top in places]


def counts(figure, path, colour, near=24):
    return [int(found.sum()) for found in pixels(figure, path, colour, near)]


def heads(figure):
    return [axes.get_title() for axes in figure.axes if axes.get_title()]


def names(figure):
    """What stands beside the rows."""
    return [axes.get_ylabel() for axes in figure.axes if axes.get_ylabel()]


def texts(figure):
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def check_page(figure):
    """Nothing leaves the page, and the pictures lie between title and legend."""
    page, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert page.x0 >= 0 <= page.y0
    assert page.x1 <= width
    assert page.y1 <= height
    if figure._suptitle and figure._suptitle.get_text():
        panels = [axes.get_tightbbox() for axes in figure.axes]
        assert figure._suptitle.get_window_extent().y0 > max(box.y1 for box in panels) - 1
        for legend in figure.legends:
            assert legend.get_window_extent().y1 < min(box.y0 for box in panels) + 1
