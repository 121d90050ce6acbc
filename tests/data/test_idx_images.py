"""MNIST and Fashion-MNIST, from the real files where they are."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from lid_vae.data import MNIST, FashionMNIST
from lid_vae.data.array.idx_images import IdxImages
from lid_vae.errors import UserError


def ready(module: IdxImages) -> IdxImages:
    module.prepare_data()
    module.setup()
    return module


@pytest.mark.parametrize(
    ("kind", "folder", "mean", "deviation"),
    [(MNIST, "mnist", 0.1307, 0.3081), (FashionMNIST, "fashion-mnist", 0.2860, 0.3530)],
)
def test_the_training_file_has_the_mean_that_everyone_subtracts(
    corpus: Callable[[str], str], kind: type[IdxImages], folder: str, mean: float, deviation: float
) -> None:
    module = ready(kind(corpus(folder)))
    grey = torch.cat([module.train.x, module.valid.x]).float() / 255
    assert len(grey) == 60_000
    assert grey.mean().item() == pytest.approx(mean, abs=1e-4)
    assert grey.std().item() == pytest.approx(deviation, abs=1e-4)
    assert (len(module.train), len(module.valid), len(module.test)) == (55_000, 5_000, 10_000)
    assert (module.features, module.image_shape, module.label_count) == (784, (28, 28), 10)


def test_mnist_test_labels_count_as_published(corpus: Callable[[str], str]) -> None:
    module = ready(MNIST(corpus("mnist")))
    assert module.test.y.bincount().tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def test_the_papers_subsample_depends_on_the_data_seed_only(corpus: Callable[[str], str]) -> None:
    root = corpus("mnist")
    one, run, data = (ready(MNIST(root, train_size=20_000, **o)) for o in ({}, {"train_seed": 1}, {"seed": 1}))
    assert len(one.train) == 20_000
    assert one.checksum == run.checksum
    assert one.checksum != data.checksum
    assert torch.equal(one.test.x, data.test.x)
    first, again = (torch.cat([batch.x for batch in module.batches("test")]) for module in (one, run))
    assert torch.equal(first, again)
    # binarisation keeps the mean: 7.8 million pixels, standard error below 1.2e-4, five of them
    assert abs(first.mean() - one.test.x.float().mean() / 255) < 6e-4


def test_a_corrupted_file_is_named_with_both_sums_and_its_folder(corpus: Callable[[str], str], tmp_path: Path) -> None:
    source = Path(corpus("mnist")) / "mnist"
    (tmp_path / "mnist").mkdir()
    for name in MNIST.sums:
        shutil.copyfile(source / name, tmp_path / "mnist" / name)
    damaged = tmp_path / "mnist" / "t10k-labels-idx1-ubyte.gz"
    damaged.write_bytes(damaged.read_bytes()[:-10])
    module = MNIST(str(tmp_path))
    module.prepare_data()
    with pytest.raises(UserError) as caught:
        module.setup()
    for part in (damaged.name, MNIST.sums[damaged.name], str(damaged.parent), "is sha256:"):
        assert part in str(caught.value)


def test_missing_files_are_named_when_there_is_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(MNIST, "mirrors", lambda self: ["http://127.0.0.1:9/"])
    with pytest.raises(UserError) as caught:
        MNIST(str(tmp_path)).prepare_data()
    for part in (*MNIST.sums, *MNIST.sums.values(), str(tmp_path / "mnist"), "LID_VAE_DATA"):
        assert part in str(caught.value)
    with pytest.raises(UserError, match=r"train-images-idx3-ubyte.gz .* is not there"):
        MNIST(str(tmp_path)).setup()


@pytest.mark.parametrize("kind", [MNIST, FashionMNIST])
def test_addresses_come_from_torchvision(kind: type[IdxImages]) -> None:
    mirrors = kind("unused").mirrors()
    assert mirrors
    assert all(address.startswith("http") and address.endswith("/") for address in mirrors)


def test_a_validation_part_of_everything_is_refused(corpus: Callable[[str], str]) -> None:
    with pytest.raises(UserError, match=r"valid_size=60000 leaves no training data"):
        MNIST(corpus("mnist"), valid_size=60_000).setup()
