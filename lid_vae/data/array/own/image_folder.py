"""A user's folder of image files as one array, with a label for each sub-folder."""

__all__ = ["read_image_folder", "resize"]

from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import interpolate

from lid_vae.errors import UserError
from lid_vae.shapes import Tensor

_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm"}


def read_image_folder(
    folder: Path, size: tuple[int, int] | None, colour: bool = False
) -> tuple[Tensor, list[str] | None]:
    """Images of a ``folder`` as bytes, and the name of the sub-folder of each (None where there are no sub-folders).

    Files are taken in the order of their names. They are grey, [N, H, W], and colours become luminance; or, with
    ``colour``, red, green and blue, [N, 3, H, W]. With ``size``, (H, W), each is resized to it.

    Raises:
        UserError: if there is no image, one cannot be read, sizes differ, or images lie beside sub-folders of images.
    """
    here = _images_in(folder)
    below = [path for child in sorted(folder.iterdir()) if child.is_dir() for path in _images_in(child)]
    if here and below:
        raise UserError(
            f"{folder} holds images ({here[0].name}, ...) beside sub-folders of images ({below[0].parent.name}/, ...). "
            f"Keep one of the two: sub-folders are read as one label each."
        )
    paths = here or below
    if not paths:
        raise UserError(f"{folder} holds no image files. Looked for {', '.join(sorted(_SUFFIXES))}, one level deep.")
    images = [_read(path, "RGB" if colour else "L") for path in paths]
    if size is not None:
        images = [resize(image[None], size)[0] for image in images]
    first = images[0].shape[-2:]
    for path, image in zip(paths, images, strict=True):
        if image.shape[-2:] != first:
            raise UserError(
                f"Images in {folder} differ in size: {paths[0].name} is {first[0]} x {first[1]} (height x width) and "
                f"{path.name} is {image.shape[-2]} x {image.shape[-1]}. Give one with size=[{first[0]},{first[1]}]."
            )
    return torch.stack(images), [path.parent.name for path in paths] if below else None


def resize(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Bytes ``images`` [N, (C,) H, W] at another ``size``, bilinear, with a wider filter where they shrink."""
    planes = images[:, None] if images.ndim == 3 else images
    smooth = interpolate(planes.float(), size, mode="bilinear", antialias=True)
    return smooth.round().clamp(0, 255).to(torch.uint8).view(*images.shape[:-2], *size)


def _images_in(folder: Path) -> list[Path]:
    found = (path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES and not path.name.startswith("."))
    return sorted(path for path in found if path.is_file())


def _read(path: Path, mode: str) -> Tensor:
    """[H, W] of mode L, [3, H, W] of mode RGB."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            if image.mode.startswith(("I", "F")):
                raise UserError(f"{path} has more than 8 bits per pixel (mode {image.mode}). Save it with 8.")
            pixels = torch.from_numpy(np.array(image.convert(mode)))
            return pixels if pixels.ndim == 2 else pixels.movedim(-1, 0)
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:  # SyntaxError: Pillow's for a broken header
        raise UserError(f"{path} cannot be read as an image ({error}). Mend it or take it out.") from error
