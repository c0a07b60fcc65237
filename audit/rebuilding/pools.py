"""The arguments of a pool: those that a file says, or what a row's shape tells."""

from typing import Any

from audit.rebuilding.module import one
from audit.rebuilding.site import Site


def pool(site: Site) -> dict[str, Any]:
    """Its window and strides. Raises: ValueError if none give its shape."""
    if "pads" in site.row.settings:
        return _known(site)
    for size in (2, 3, 4, 5, 6, 8, 1):
        if all(b == a // size for a, b in site.sizes):
            return {"pool_size": size}
        if all(b == -(-a // size) for a, b in site.sizes):
            return {"pool_size": size, "padding": "same"}
    for size, step in ((3, 2), (2, 1), (3, 1)):  # they overlap
        if all(b == (a - size) // step + 1 for a, b in site.sizes):
            return {"pool_size": size, "strides": step}
    each = [a // b for a, b in site.sizes]
    if all(n and b == a // n for n, (a, b) in zip(each, site.sizes, strict=True)):
        return {"pool_size": tuple(each)}
    raise ValueError(f"row {site.row.name!r}: no pool size gives its shape.")


def _known(site: Site) -> dict[str, Any]:
    """A pool whose window, strides and pads the file says. Raises: ValueError."""
    size, strides, pads = (site.row.settings[key] for key in ("pool_size", "strides", "pads"))
    found = {"pool_size": one(size), "strides": one(strides)}
    same = max(strides) == 1 and all(a == b for a, b in site.sizes)
    average = "Average" in site.row.layer_class
    if any(map(any, pads)) and average:
        site.assumed.append(f"zeros around it {'do not ' if same else ''}count (or else)")
    elif any(map(any, pads)) and not same:
        site.assumed.append("no numbers below zero in what it reads, as after a ReLU")
    beyond = {(b - 1) * s + k - a for (a, b), k, s in zip(site.sizes, size, strides, strict=False)}
    if same or (beyond == {1} and not any(map(any, pads))):  # one voxel beyond the end
        return {**found, "padding": "same"}
    if all(b == (a - k) // s + 1 for (a, b), k, s in zip(site.sizes, size, strides, strict=False)):
        return found
    raise ValueError(f"row {site.row.name!r}: its window and strides do not give its shape.")
