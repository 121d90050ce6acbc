"""Data modules: splits on one device, and batches that are functions of (seed, step)."""

__all__ = [
    "MNIST",
    "ArrayDataModule",
    "Batch",
    "Digits",
    "FashionMNIST",
    "Images",
    "Omniglot",
    "Pinwheel",
    "Split",
    "TrainStream",
]

from lid_vae.data.base import ArrayDataModule, Batch, Split, TrainStream
from lid_vae.data.digits import Digits
from lid_vae.data.idx_images import MNIST, FashionMNIST
from lid_vae.data.images import Images
from lid_vae.data.omniglot import Omniglot
from lid_vae.data.pinwheel import Pinwheel
