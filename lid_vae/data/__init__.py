"""Data modules: splits on one device, and batches that are functions of (seed, step)."""

__all__ = [
    "MNIST",
    "PTB",
    "Array",
    "ArrayDataModule",
    "ArrayFile",
    "Batch",
    "DataModule",
    "Digits",
    "FashionMNIST",
    "Images",
    "Omniglot",
    "Pinwheel",
    "ShortYelp",
    "Split",
    "SyntheticText",
    "Text",
    "TextDataModule",
    "TextList",
    "TrainStream",
    "Vocabulary",
    "Yahoo",
    "Yelp",
    "make_vocabulary",
]

from lid_vae.data.array.array_data_module import ArrayDataModule
from lid_vae.data.array.digits import Digits
from lid_vae.data.array.idx_images import MNIST, FashionMNIST
from lid_vae.data.array.omniglot import Omniglot
from lid_vae.data.array.own.array_file import ArrayFile
from lid_vae.data.array.own.images import Images
from lid_vae.data.array.own.in_memory import Array
from lid_vae.data.array.pinwheel import Pinwheel
from lid_vae.data.base import DataModule
from lid_vae.data.split import Batch, Split
from lid_vae.data.stream import TrainStream
from lid_vae.data.text.corpora import PTB, ShortYelp, Yahoo, Yelp
from lid_vae.data.text.own_text import Text, TextList
from lid_vae.data.text.synthetic_text import SyntheticText
from lid_vae.data.text.text_data_module import TextDataModule
from lid_vae.data.text.vocabulary import Vocabulary, make_vocabulary
