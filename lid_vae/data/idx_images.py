"""MNIST (LeCun, Cortes and Burges 1998) and Fashion-MNIST (Xiao, Rasul and Vollgraf 2017, arXiv:1708.07747)."""

__all__ = ["MNIST", "FashionMNIST", "IdxImages"]

from abc import abstractmethod
from pathlib import Path

import torch

from lid_vae.data.array_data_module import ArrayDataModule, Corpus
from lid_vae.data.binarise import binarisation
from lid_vae.data.idx import parse_idx, unpack
from lid_vae.data.source import RemoteFile, fetch, read_checked
from lid_vae.data.split import Split, hold_out
from lid_vae.errors import UserError


class IdxImages(ArrayDataModule):
    """60,000 training and 10,000 test images of 28 x 28 grey pixels in ten classes, from four idx files.

    Validation images are held out of the training file by the data seed. The files are looked for in
    ``<root>/<folder>/`` and checked at every load (30 ms each); ``prepare_data`` downloads those that are missing.
    """

    folder: str
    sums: dict[str, str]

    def __init__(
        self,
        root: str = "data",
        batch_size: int = 128,
        seed: int = 0,
        train_seed: int = 0,
        train_size: int | None = None,
        valid_size: int = 5_000,
        eval_batch_size: int = 500,
        binarise: str | None = "dynamic",
    ) -> None:
        super().__init__(
            root=root,
            batch_size=batch_size,
            seed=seed,
            train_seed=train_seed,
            train_size=train_size,
            valid_size=valid_size,
            eval_batch_size=eval_batch_size,
            binarisation=binarisation(binarise),
        )
        self.path = Path(root).expanduser() / self.folder

    @abstractmethod
    def mirrors(self) -> list[str]:
        """Addresses of folders that hold the files."""

    def prepare_data(self) -> None:
        if not all((self.path / name).exists() for name in self.sums):
            fetch(self.path, self._files(self.mirrors()))

    def load(self) -> Corpus:
        train, valid = hold_out(self._read("train"), self.valid_size, self.seed, "valid")
        return Corpus(train, valid, self._read("t10k"), image_shape=(28, 28), label_count=10)

    def _files(self, mirrors: list[str]) -> list[RemoteFile]:
        return [RemoteFile(name, sum_, tuple(mirror + name for mirror in mirrors)) for name, sum_ in self.sums.items()]

    def _read(self, part: str) -> Split:
        files = {file.name: file for file in self._files([])}
        arrays = []
        for name in (f"{part}-images-idx3-ubyte.gz", f"{part}-labels-idx1-ubyte.gz"):
            arrays.append(torch.from_numpy(parse_idx(unpack(read_checked(self.path, files[name]), name), name)))
        images, labels = arrays
        if len(images) != len(labels):
            raise UserError(f"{self.path} holds {len(images)} {part} images, and {len(labels)} labels for them.")
        return Split(images.flatten(1), labels.long())


class MNIST(IdxImages):
    """Handwritten digits."""

    name = "mnist"
    folder = "mnist"
    sums = {  # noqa: RUF012
        "train-images-idx3-ubyte.gz": "sha256:440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "train-labels-idx1-ubyte.gz": "sha256:3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "t10k-images-idx3-ubyte.gz": "sha256:8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "t10k-labels-idx1-ubyte.gz": "sha256:f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    }

    def mirrors(self) -> list[str]:
        from torchvision import datasets  # here, because importing torchvision takes a second

        return list(datasets.MNIST.mirrors)


class FashionMNIST(IdxImages):
    """Pieces of clothing."""

    name = "fashion_mnist"
    folder = "fashion-mnist"
    sums = {  # noqa: RUF012
        "train-images-idx3-ubyte.gz": "sha256:3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "train-labels-idx1-ubyte.gz": "sha256:a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "t10k-images-idx3-ubyte.gz": "sha256:346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "t10k-labels-idx1-ubyte.gz": "sha256:67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    }

    def mirrors(self) -> list[str]:
        from torchvision import datasets  # here, because importing torchvision takes a second

        return list(datasets.FashionMNIST.mirrors)
