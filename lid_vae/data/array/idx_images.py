"""MNIST (LeCun, Cortes and Burges 1998) and Fashion-MNIST (Xiao, Rasul and Vollgraf 2017, arXiv:1708.07747)."""

__all__ = ["MNIST", "FashionMNIST", "IdxImages"]

from typing import Any

import torch

from lid_vae.data.array.array_data_module import Corpus, PixelDataModule
from lid_vae.data.array.idx import parse_idx, unpack
from lid_vae.data.source import RemoteFile, fetch, read_checked
from lid_vae.data.split import Split, hold_out
from lid_vae.errors import UserError
from lid_vae.shapes import Tensor


class IdxImages(PixelDataModule):
    """60,000 training and 10,000 test images of 28 x 28 grey pixels in ten classes, from four idx files.

    Validation images are held out of the training file by the data seed. The files are looked for in
    ``<root>/<folder>/`` and checked at every load (30 ms each); ``prepare_data`` downloads those that are missing.

    Args:
        root: the folder of the data sets.
        valid_size: how many images to hold out for validation.
        options: the others of ``PixelDataModule``.
    """

    sums: dict[str, str]
    published_as: str
    """The data set of torchvision that has the same files."""

    def __init__(self, root: str = "data", valid_size: int = 5_000, **options: Any) -> None:
        super().__init__(root=root, valid_size=valid_size, **options)

    def mirrors(self) -> list[str]:
        """Addresses of folders that hold the files, as torchvision has them."""
        from torchvision import datasets  # here, because importing torchvision takes a second

        return list(getattr(datasets, self.published_as).mirrors)

    def prepare_data(self) -> None:
        if not all((self.path / name).exists() for name in self.sums):
            mirrors = self.mirrors()
            addresses = {name: tuple(mirror + name for mirror in mirrors) for name in self.sums}
            fetch(self.path, [RemoteFile(name, self.sums[name], addresses[name]) for name in self.sums])

    def load(self) -> Corpus:
        train, valid = hold_out(self._read("train"), self.valid_size, self.seed, "valid")
        return Corpus(train, valid, self._read("t10k"), image_shape=(28, 28), label_count=10)

    def _read(self, part: str) -> Split:
        images, labels = (self._array(f"{part}-{kind}-ubyte.gz") for kind in ("images-idx3", "labels-idx1"))
        if len(images) != len(labels):
            raise UserError(f"{self.path} holds {len(images)} {part} images, and {len(labels)} labels for them.")
        return Split(images.flatten(1), labels.long())

    def _array(self, name: str) -> Tensor:
        packed = read_checked(self.path, RemoteFile(name, self.sums[name]))
        return torch.from_numpy(parse_idx(unpack(packed, name), name))


class MNIST(IdxImages):
    """Handwritten digits.

    >>> data = MNIST(root="data", train_size=1000, binarise="fixed")
    >>> str(data.path), data.binary  # prepare_data() gets the files, setup() reads them
    ('data/mnist', True)
    """

    name = "mnist"
    published_as = "MNIST"
    sums = {  # noqa: RUF012
        "train-images-idx3-ubyte.gz": "sha256:440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "train-labels-idx1-ubyte.gz": "sha256:3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "t10k-images-idx3-ubyte.gz": "sha256:8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "t10k-labels-idx1-ubyte.gz": "sha256:f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    }


class FashionMNIST(IdxImages):
    """Pieces of clothing.

    >>> data = FashionMNIST(root="data", train_size=1000, binarise="fixed")
    >>> str(data.path), data.binary  # prepare_data() gets the files, setup() reads them
    ('data/fashion-mnist', True)
    """

    name = "fashion_mnist"
    published_as = "FashionMNIST"
    folder = "fashion-mnist"
    sums = {  # noqa: RUF012
        "train-images-idx3-ubyte.gz": "sha256:3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "train-labels-idx1-ubyte.gz": "sha256:a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "t10k-images-idx3-ubyte.gz": "sha256:346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "t10k-labels-idx1-ubyte.gz": "sha256:67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    }
