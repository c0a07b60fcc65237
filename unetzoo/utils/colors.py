"""The colors of classes: those of Okabe and Ito, which color-blind people can tell apart."""

PALETTE = ("#E69F00", "#56B4E9", "#009E73", "#D55E00", "#CC79A7", "#0072B2", "#F0E442")


def rgb_of(label: int) -> tuple[int, int, int]:
    """Red, green and blue of a class, from 1 on; where the palette ends, it begins again darker.

    >>> rgb_of(1), rgb_of(8)
    ((230, 159, 0), (172, 119, 0))
    """
    round_, number = divmod(label - 1, len(PALETTE))
    color = PALETTE[number][1:]
    parts = [int(color[place : place + 2], 16) for place in (0, 2, 4)]
    red, green, blue = (int(part * 0.75 ** (round_ % 6)) for part in parts)
    return red, green, blue
