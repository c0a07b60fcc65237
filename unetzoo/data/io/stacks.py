"""Which TIFF is a volume and which a picture: told from its header, with Pillow alone."""

import re
import warnings
from pathlib import Path

from PIL import Image

DESCRIPTION, KIND = 270, 254  # tags of TIFF
DEEP = re.compile(r'\bimages=(?!1\b)\d+|\bSize[ZC]="(?!1")\d+"')  # of ImageJ and of OME
REDUCED, MASK = 1, 4  # kinds of pages that belong to another


def is_stack(path: Path) -> bool:
    """Whether a TIFF holds several pages, slices or channels; False for what cannot be opened."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path, formats=("TIFF",)) as image:
                if DEEP.search(str(image.getexif().get(DESCRIPTION, ""))):
                    return True
                image.seek(1)
                return not image.getexif().get(KIND, 0) & (REDUCED | MASK)
    except Exception:  # of a damaged file Pillow raises nearly anything; reading it says why
        return False
