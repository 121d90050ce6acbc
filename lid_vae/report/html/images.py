"""Pictures as they stand in a page: as they come while they are few and light, else smaller."""

import base64
import io
from collections.abc import Sequence

from PIL import Image

__all__ = ["BUDGET", "embed"]

# Bytes of all pictures of a page together, which embedding makes a third more.
BUDGET = 1_000_000
INCH, FINEST = 100, 1200
# What is tried until a picture is light enough: its greatest width, and the quality of WebP.
TRIES = ((1400, 82), (1200, 72), (1000, 65), (800, 55), (600, 45), (400, 35), (240, 25))


def embed(images: Sequence[bytes]) -> list[tuple[str, int, int] | None]:
    """Each of ``images`` as the address of an HTML image, with width and height; None for no image.

    A file is finer than a page, for print: an inch of it, by what it says of itself, is a hundred pixels. They share
    ``BUDGET``: what is heavier than its share is made smaller until it is not.
    """
    share = BUDGET // max(1, len(images))
    return [_one(image, share) for image in images]


def _one(image: bytes, share: int) -> tuple[str, int, int] | None:
    try:
        with Image.open(io.BytesIO(image)) as opened:
            kind = str(opened.format).lower()
            width, height = opened.size
            dots = opened.info.get("dpi", (INCH, INCH))[0]
            scale = INCH / dots if INCH <= dots <= FINEST else 1.0
            size = round(scale * width), round(scale * height)
            if len(image) <= share and kind in ("png", "webp", "jpeg"):
                return _address(image, kind), *size
            whole = opened.convert("RGB")
    # Pillow raises many kinds for files that are cut or no pictures.
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError, Image.DecompressionBombWarning):
        return None
    smaller = b""
    for widest, quality in TRIES:
        made = whole.copy()
        made.thumbnail((widest, 4 * widest), Image.Resampling.LANCZOS)
        file = io.BytesIO()
        made.save(file, format="webp", quality=quality, method=4)
        smaller = file.getvalue()
        if len(smaller) <= share:
            break
    return _address(smaller, "webp"), *size


def _address(image: bytes, kind: str) -> str:
    return f"data:image/{kind};base64," + base64.b64encode(image).decode()
