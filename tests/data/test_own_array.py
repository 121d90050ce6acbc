"""A user's own vectors and images: one data set from any file and from memory, split, standardised, or refused."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import savemat

from lid_vae.data import Array, ArrayFile, Images
from lid_vae.errors import UserError

RNG = np.random.default_rng(0)
X = RNG.normal(50.0, [1.0, 10.0, 0.1], (60, 3))
Y = RNG.integers(0, 3, 60)
GREY = RNG.integers(0, 256, (60, 4, 5), dtype=np.uint8)
RGB = RNG.integers(0, 256, (60, 4, 5, 3), dtype=np.uint8)
PARTS = ("train", "valid", "test")


def ready(path: object, **options: object) -> ArrayFile:
    module = ArrayFile(str(path), **options)
    module.setup()
    return module


def own_units(module: Array | ArrayFile) -> dict[str, np.ndarray]:
    return {part: module.standardisation.undo(getattr(module, part).x).numpy() for part in PARTS}


def write_csv(path: Path, x: np.ndarray, y: np.ndarray | None = None, header: str = "") -> Path:
    lines = [",".join(map(repr, row)) for row in x.tolist()]
    lines = lines if y is None else [f"{line},{label}" for line, label in zip(lines, y.tolist(), strict=True)]
    path.write_text("\n".join([*([header] if header else []), *lines]) + "\n")
    return path


# --- identities ------------------------------------------------------------------------------------------------------


def test_the_same_values_are_the_same_data_from_any_file_and_from_memory(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "y.npy", Y)
    np.savez(tmp_path / "both.npz", x=X, y=Y)
    np.savez(tmp_path / "named.npz", values=X, kind=Y, other=X[:, :1])
    savemat(tmp_path / "both.mat", {"x": X, "y": Y})
    names = write_csv(tmp_path / "names.csv", X, Y, "a,b,c,kind")
    modules = [
        ready(tmp_path / "x.npy", labels=str(tmp_path / "y.npy")),
        ready(tmp_path / "both.npz"),
        ready(tmp_path / "named.npz", key="values", label_key="kind"),
        ready(tmp_path / "both.mat"),
        ready(names, labels="kind"),
        ready(names, labels=-1, columns=["a", 1, "c"]),
        ready(write_csv(tmp_path / "bare.csv", X, Y), labels=3),
        Array(X, Y),
        Array(torch.from_numpy(X), torch.from_numpy(Y)),
        Array(X.tolist(), [f"kind {label}" for label in Y]),
    ]
    assert {module.checksum for module in modules} == {modules[0].checksum}
    assert {module.label_count for module in modules} == {3}
    without = [ready(tmp_path / "x.npy"), ready(names, columns=[0, 1, 2]), Array(X)]
    assert {module.checksum for module in without} == {without[0].checksum}
    assert without[0].checksum != modules[0].checksum


def test_splits_are_disjoint_and_complete_and_labels_stay_with_their_rows() -> None:
    x = np.arange(120.0).reshape(60, 2)
    module = Array(x, np.arange(60) // 20 + 5, standardise=False)
    found = [getattr(module, part) for part in PARTS]
    assert [len(split) for split in found] == [49, 5, 6]
    assert torch.cat([split.x for split in found]).unique(dim=0).tolist() == x.tolist()
    for split in found:
        assert torch.equal(split.y, (split.x[:, 0] / 40).floor().long())


def test_splits_follow_the_data_seed_alone(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    one, again, other = (
        ready(tmp_path / "x.npy", seed=seed, train_seed=train) for seed, train in ((0, 0), (0, 5), (1, 0))
    )
    assert one.checksum == again.checksum != other.checksum
    assert ready(tmp_path / "x.npy", seed=1).checksum == Array(X, seed=1).checksum == other.checksum


def test_pixels_are_the_data_of_images(tmp_path: Path) -> None:
    """Same splits, same bytes: with ``data=images`` and its binarisation, and from levels in [0, 1]."""
    np.save(tmp_path / "grey.npy", GREY)
    np.save(tmp_path / "rgb.npy", RGB)
    for name, colour in (("grey", False), ("rgb", True)):
        images = Images(str(tmp_path / f"{name}.npy"), colour=colour)
        images.setup()
        levels = (RGB if colour else GREY) / 255.0
        for module in (ready(tmp_path / f"{name}.npy", binarise="dynamic"), Array(levels, binarise="dynamic")):
            assert module.checksum == images.checksum
            assert (module.image_shape, module.binary) == (images.image_shape, True)
            assert torch.equal(module.stream(3).batch(4).x, images.stream(3).batch(4).x)


def test_layouts_of_images() -> None:
    first = np.moveaxis(RGB, -1, 1)
    assert Array(RGB).checksum == Array(first).checksum == Array(RGB, channels="last").checksum
    assert (Array(RGB).image_shape, Array(RGB).shape) == ((3, 4, 5), [3, 4, 5])
    assert Array(GREY).checksum == Array(GREY[..., None]).checksum == Array(GREY[:, None]).checksum
    assert Array(GREY.astype(np.int64)).checksum == Array(GREY).checksum
    assert Array(GREY).train.x.dtype == torch.uint8
    assert Array(GREY > 127).train.x.unique().tolist() == [0, 255]
    # Levels in [0, 1] keep what bytes cannot tell apart.
    fine = Array(np.float32(GREY) / 300)
    assert (fine.image_shape, fine.train.x.dtype, fine.in_unit_interval) == ((4, 5), torch.float32, True)


def test_parts_of_their_own(tmp_path: Path) -> None:
    x, y = {part: X[i::3] for i, part in enumerate(PARTS)}, {part: Y[i::3] for i, part in enumerate(PARTS)}
    for part in PARTS:
        np.savez(tmp_path / f"{part}.npz", x=x[part], y=y[part])
    names = {"train": "train", "valid": "val", "test": "test"}
    inside = {f"{kind}_{names[part]}": found[part] for kind, found in (("x", x), ("y", y)) for part in PARTS}
    np.savez(tmp_path / "all.npz", **inside)
    modules = [
        ready(tmp_path / "train.npz", valid=str(tmp_path / "valid.npz"), test=str(tmp_path / "test.npz")),
        ready(tmp_path / "all.npz"),
        Array(x["train"], y["train"], valid=(x["valid"], y["valid"]), test=(x["test"], y["test"])),
    ]
    assert {module.checksum for module in modules} == {modules[0].checksum}
    for part, found in own_units(modules[0]).items():
        assert np.allclose(found, x[part])
    # One part held out, the other given.
    module = ready(tmp_path / "train.npz", test=str(tmp_path / "test.npz"), valid_size=5)
    assert [len(getattr(module, part)) for part in PARTS] == [15, 5, 20]


@pytest.mark.parametrize(
    ("valid", "test", "sizes"),
    [(0.1, 0.1, [49, 5, 6]), (None, None, [54, 6, 6]), (0.5, 20, [20, 20, 20]), (1, 0.001, [58, 1, 1])],
)
def test_sizes_in_memory(valid: float | None, test: float | None, sizes: list[int]) -> None:
    module = Array(X, valid=valid, test=test)
    assert [len(getattr(module, part)) for part in PARTS] == sizes


# --- units -----------------------------------------------------------------------------------------------------------


def test_columns_are_standardised_by_the_training_part_alone() -> None:
    module = Array(X)
    plain = Array(X, standardise=False)
    train = plain.train.x.double()
    assert torch.allclose(module.train.x.mean(0), torch.zeros(3), atol=1e-5)
    assert torch.allclose(module.train.x.std(0, correction=0), torch.ones(3))
    for part in ("valid", "test"):
        expected = (getattr(plain, part).x.double() - train.mean(0)) / train.std(0, correction=0)
        assert torch.allclose(getattr(module, part).x.double(), expected, atol=1e-3)
    assert plain.standardisation is None
    # Fewer training examples are measured in the same units.
    few = Array(X, train_size=10)
    assert torch.equal(few.standardisation.mean, module.standardisation.mean)
    assert torch.equal(few.test.x, module.test.x)


def test_the_jacobian_is_that_of_the_change_of_units() -> None:
    """A Gaussian's log-density in the file's own units, against SciPy-free arithmetic of the same law."""
    module = Array(X)
    deviation = module.standardisation.deviation
    law = torch.distributions.Normal(module.standardisation.mean, deviation)
    own = law.log_prob(module.standardisation.undo(module.test.x)).sum(1)
    standard = torch.distributions.Normal(0.0, 1.0).log_prob(module.test.x.double()).sum(1)
    assert torch.allclose(own, standard + module.log_det_jacobian)
    assert Array(X, standardise=False).log_det_jacobian is None


def test_large_offsets_are_taken_off_in_double_precision() -> None:
    x = X - 50 + 1e9
    assert torch.allclose(Array(x).train.x, Array(X - 50).train.x, atol=1e-5)


def test_constant_columns_are_moved_and_not_scaled() -> None:
    module = Array(np.c_[X, np.full(60, 0.1)])
    assert module.train.x[:, 3].abs().max() == 0
    assert module.log_det_jacobian == pytest.approx(Array(X).log_det_jacobian)


def test_what_is_standardised_unless_asked() -> None:
    zeros_and_ones = RNG.integers(0, 2, (60, 3))
    assert Array(X).standardisation is not None
    assert Array(RNG.integers(0, 256, (60, 3))).standardisation is not None
    for x in (zeros_and_ones, GREY, RGB, X[:, :, None]):
        assert Array(x).standardisation is None
        assert Array(x, standardise=True).train.x.dtype == torch.float32
    module = Array(zeros_and_ones)
    assert module.binary
    assert module.in_unit_interval
    assert not Array(X).in_unit_interval


# --- what is refused -------------------------------------------------------------------------------------------------


def with_value(value: float, x: np.ndarray = X, place: tuple[int, ...] = (7, 1)) -> np.ndarray:
    changed = np.array(x, np.float64)
    changed[place] = value
    return changed


class Bomb:
    """Says so if anything unpickles it."""

    def __reduce__(self) -> tuple:
        return pytest.fail, ("the file was executed",)


@pytest.mark.parametrize(
    ("x", "options", "message"),
    [
        (with_value(np.nan), {}, r"1 of 180 values in x are NaN or infinite, the first in row 7, column 1, counted"),
        (with_value(np.inf), {}, r"row 7, column 1"),
        (with_value(np.nan, GREY, (3, 2, 1)), {}, r"in example 3 at \[2, 1\]"),
        (X[:, 0], {}, r"x has 1 axes: its shape is \(60,\).* reshape it to \[60, 1\]"),
        (np.zeros(()), {}, r"x has 0 axes"),
        (np.zeros((4, 2, 2, 2, 2)), {}, r"x has 5 axes"),
        (np.zeros((4, 8, 8, 4)), {}, "of 1 or 3 channels"),
        (np.zeros((9, 3, 8, 3)), {}, "channels=first or last"),
        (X.astype(complex), {}, "x holds complex128, not real numbers. Give real and imaginary parts"),
        (X.astype(str), {}, r"x holds <U\d+, not real numbers. Encode words"),
        (X.astype(object), {}, "x holds object, not real numbers. Objects are never taken"),
        (np.zeros((5, 2), "datetime64[s]"), {}, "not real numbers. Give numbers"),
        ([[1.0, 2.0], [1.0]], {}, "x is no array: .* Give examples of equal size"),
        (np.zeros((0, 3)), {}, r"x is empty: its shape is \(0, 3\)"),
        (np.zeros((5, 0)), {}, "x is empty"),
        (X[:1], {}, "x holds 1 example, and a training, a validation and a test part need one each"),
        (X[:2], {}, "x holds 2 examples"),
        (X * 1e300, {"standardise": False}, "beyond single precision. Rescale"),
        (X, {"y": Y[:-1]}, r"60 examples, and labels of shape \(59,\) in x"),
        (X, {"y": Y + 0.5}, "neither whole numbers nor words"),
        (X, {"y": np.eye(60)}, r"labels of shape \(60, 60\)"),
        (X, {"binarise": "dynamic"}, r"probabilities, from 0 to 1, and these run from .* leave binarise out"),
        (RGB.astype(int) + 1, {"binarise": "fixed"}, "from 0 to 255, and these run from 1 to 256"),
        (X, {"binarise": "fixed", "standardise": True}, "exclude each other"),
        (X, {"binarise": "often"}, "binarise=often is unknown"),
        (X, {"valid": 0}, "valid=0 must be a share between 0 and 1, or a number of examples"),
        (X, {"test": 1.5}, "test=1.5 must be a share"),
        (X, {"test": 60}, "test_size=60 leaves no training data"),
        (X, {"test": X[:, :2]}, r"test holds examples of shape \[2\], and x of shape \[3\]"),
        (X, {"y": Y, "test": X}, "test has no labels, and x has. Give all or none"),
    ],
)
def test_arrays_that_are_refused(x: object, options: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        Array(x, **options)


def files(folder: Path) -> None:
    np.save(folder / "x.npy", X)
    np.save(folder / "y.npy", Y)
    np.savez(folder / "xy.npz", x=X, y=Y)
    np.savez(folder / "two.npz", first=X, second=X)
    np.savez(folder / "parts.npz", x_train=X, x_test=X)
    np.save(folder / "objects.npy", np.array([Bomb()], dtype=object), allow_pickle=True)
    (folder / "bare.npy").write_bytes(pickle.dumps(Bomb()))
    (folder / "x.parquet").write_text("PAR1")
    (folder / "folder").mkdir()
    write_csv(folder / "t.csv", X, Y, "height,width,depth,species")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("z.npy", {}, r"path=.*z.npy does not exist, neither in .* Did you mean .*[xy].npy\?"),
        ("x.npy", {"test": "z.npy"}, "test=z.npy does not exist"),
        ("x.parquet", {}, r"x.parquet ends in none of .npy, .npz, .mat, .csv, .tsv. Save it as one of these"),
        ("folder", {}, "is a folder. Give a file; a folder of pictures is data=images"),
        ("objects.npy", {}, "Python objects, which are never loaded"),
        ("bare.npy", {}, "Python objects, which are never loaded"),
        ("two.npz", {}, r"two.npz holds first \(60, 3\), second \(60, 3\), and none is called x. .* key=<name>"),
        ("two.npz", {"key": "fist"}, r"holds no array key=fist. Did you mean key=first\?"),
        ("xy.npz", {"label_key": "yy"}, r"holds no array label_key=yy. Did you mean label_key=y\?"),
        ("x.npy", {"key": "x"}, "key=x is for .npz and .mat files, and .*x.npy is none"),
        ("x.npy", {"columns": [0]}, r"columns=\[0\] is for .csv and .tsv files"),
        ("x.npy", {"labels": "nowhere.npy"}, "labels=nowhere.npy is neither a file"),
        ("t.csv", {"labels": "specie"}, r"labels=specie is no column of .*t.csv. Did you mean labels=species\?"),
        ("t.csv", {"labels": "depth"}, r"\(float64\) are neither whole numbers nor words"),
        (
            "parts.npz",
            {"test_size": 5},
            "test_size=5 is for a test part that is held out, and x_test in ",
        ),
        ("parts.npz", {"labels": "y.npy"}, "labels=y.npy are those of one file, and the parts are in several"),
    ],
)
def test_files_that_are_refused(tmp_path: Path, monkeypatch, name: str, options: dict, message: str) -> None:
    files(tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message) as refused:
        ready(name, **options)
    assert "\n" not in str(refused.value)


def test_two_test_parts_are_refused(tmp_path: Path) -> None:
    files(tmp_path)
    with pytest.raises(UserError, match=r"x_test in .* is a test part, and test=.* is another"):
        ready(tmp_path / "parts.npz", test=str(tmp_path / "x.npy"))
