"""A small U beside the switches: its levels, and a line for each skip that they turn."""

WIDE, STEP, HIGH = 240, 26, 18  # pixels


def u(skips: int) -> str:
    """The drawing; what it shows, the switches say too."""
    height = STEP * (skips + 1)
    parts = [
        f'<svg class="small-u" width="{WIDE}" height="{height}" viewBox="0 0 {WIDE} {height}" '
        'aria-hidden="true">'
    ]
    for n in range(skips):
        left, y = 8 + 15 * n, STEP * n + 4
        middle, right = y + HIGH / 2, WIDE - left
        parts.append(f'<rect x="{left}" y="{y}" width="14" height="{HIGH}"/>')
        parts.append(f'<rect x="{right - 14}" y="{y}" width="14" height="{HIGH}"/>')
        parts.append(
            f'<path class="on" data-skip="{n + 1}" d="M{left + 16} {middle}H{right - 16}"/>'
            f'<text x="{WIDE / 2}" y="{middle - 3}">{n + 1}</text>'
        )
    y, left = STEP * skips + 4, 8 + 15 * skips
    parts.append(f'<rect x="{left}" y="{y}" width="{WIDE - 2 * left}" height="{HIGH - 2}"/>')
    return "".join([*parts, "</svg>"])
