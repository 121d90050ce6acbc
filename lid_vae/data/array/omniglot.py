"""Omniglot: 32,460 handwritten characters at 28 x 28 (Lake, Salakhutdinov and Tenenbaum 2015)."""

__all__ = ["Omniglot", "area_average"]

import io
import zipfile
from typing import Any

import numpy as np
import torch

from lid_vae.data.array.array_data_module import Corpus, PixelDataModule
from lid_vae.data.source import RemoteFile, fetch, read_checked
from lid_vae.data.split import Split, hold_out
from lid_vae.shapes import Float, Tensor

_PACKED = RemoteFile("omniglot_28x28.npz", "sha256:7dc46870ceb213f492788c4f464ba6ebdfd9892e6e8764f27c255d6e4928390c")
_ARCHIVES = {
    "images_background.zip": "md5:68d2efa1b9178cc56df9314c21c6e718",
    "images_evaluation.zip": "md5:6b91aef0f799c5bb55b94e3f2daec811",
}
_SIDE = 28
_TRAINING = 24_345


def area_average(images: Float[Tensor, "N side side"], size: int) -> Float[Tensor, "N size size"]:
    """Square images reduced to ``size`` pixels a side; a pixel is the exact mean of the area that it covers."""
    side = images.shape[-1]
    edges = torch.arange(size + 1, dtype=torch.float64) * (side / size)
    pixels = torch.arange(side, dtype=torch.float64)
    overlap = torch.minimum(edges[1:, None], pixels + 1) - torch.maximum(edges[:-1, None], pixels)
    weight = (overlap.clamp(min=0) * (size / side)).to(images.dtype)
    return weight @ images @ weight.T


class Omniglot(PixelDataModule):
    """Ink is white; there are no labels, as the alphabets are not part of the file.

    Read from ``<root>/omniglot/omniglot_28x28.npz`` where that is, else built at each load (some seconds) from the
    authors' two archives of 105 x 105 images, which ``prepare_data`` downloads. The test part is fixed, a quarter of
    all; validation images are held out of the rest by the data seed. This is not the file of Burda et al. (2016), which
    has its own resizing and split, so likelihoods do not compare with published ones.

    Args:
        root: the folder of the data sets.
        valid_size: how many images to hold out for validation.
        options: the others of ``PixelDataModule``.

    >>> data = Omniglot(root="data", train_size=1000, binarise="fixed")
    >>> str(data.path), data.binary  # prepare_data() gets the files, setup() reads them
    ('data/omniglot', True)
    """

    name = "omniglot"

    def __init__(self, root: str = "data", valid_size: int = 1_345, **options: Any) -> None:
        super().__init__(root=root, valid_size=valid_size, **options)

    def prepare_data(self) -> None:
        packed = (self.path / _PACKED.name).exists()
        if not packed and not all((self.path / name).exists() for name in _ARCHIVES):
            from torchvision import datasets  # here, because importing torchvision takes a second

            prefix = datasets.Omniglot.download_url_prefix
            fetch(self.path, [RemoteFile(name, sum_, (f"{prefix}/{name}",)) for name, sum_ in _ARCHIVES.items()])

    def load(self) -> Corpus:
        if (self.path / _PACKED.name).exists():
            with np.load(io.BytesIO(read_checked(self.path, _PACKED)), allow_pickle=False) as arrays:
                images = torch.from_numpy(arrays["images"])
                train, test = torch.from_numpy(arrays["train_index"]), torch.from_numpy(arrays["test_index"])
        else:
            images = torch.cat([self._unpack(name, sum_) for name, sum_ in _ARCHIVES.items()])
            # the split of the packed file
            order = torch.from_numpy(np.random.RandomState(0).permutation(len(images)))
            train, test = order[:_TRAINING].sort().values, order[_TRAINING:].sort().values
        split = Split(images.flatten(1))
        rest, valid = hold_out(split.rows(train), self.valid_size, self.seed, "valid")
        return Corpus(rest, valid, split.rows(test), image_shape=(_SIDE, _SIDE))

    def _unpack(self, name: str, checksum: str) -> Tensor:
        """The images of an archive as bytes [N, 28, 28], ordered by alphabet, character and drawer."""
        from PIL import Image

        reduced = []
        with zipfile.ZipFile(io.BytesIO(read_checked(self.path, RemoteFile(name, checksum)))) as archive:
            names = sorted(member for member in archive.namelist() if member.endswith(".png"))
            for start in range(0, len(names), 1000):
                block = [Image.open(archive.open(member)).convert("1") for member in names[start : start + 1000]]
                ink = 1 - torch.from_numpy(np.stack([np.asarray(image) for image in block])).float()
                reduced.append(area_average(ink, _SIDE).mul(255).round().to(torch.uint8))
        return torch.cat(reduced)
