"""Own data, trained on as a user trains: vectors, and images in colour by both encoders, alone and in stacks."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from runs import Programs, measures
from torch.distributions import Normal

from lid_vae import diagnose
from lid_vae.data import Array
from lid_vae.system.files import read_json

TINY = (
    "trainer.max_epochs=1",
    "trainer.check_val_every_n_epoch=1",
    "width=8",
    "samples=4",
    "logger=none",
    "callbacks.panels.every=0",
)
RNG = np.random.default_rng(0)
X = RNG.normal(50.0, [1.0, 10.0, 0.1], (90, 3))
Y = RNG.integers(0, 3, 90)
ENCODERS = ("mlp", "convolutional")


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    """In a folder with the files."""
    monkeypatch.chdir(tmp_path)
    np.savez("x.npz", x=X, y=Y)
    np.savetxt("x.csv", np.c_[X, Y], delimiter=",", header="a,b,c,kind", comments="")
    return Programs(tmp_path, pictures=True)


def red(count: int) -> np.ndarray:
    """Pictures in which red varies and nothing is blue."""
    images = np.zeros((count, 8, 8, 3), np.uint8)
    images[..., 0] = RNG.integers(100, 256, (count, 8, 8))
    return images


@pytest.mark.slow
def test_vectors_train_alike_from_any_file_and_are_evaluated(programs: Programs) -> None:
    from_npz, from_csv = (
        programs.train("model=gmvae", "data=array", f"data.path=x.{kind}", "categories=3", *more, tiny=TINY)
        for kind, more in (("npz", []), ("csv", ["data.labels=kind"]))
    )
    assert measures(from_npz.result) == measures(from_csv.result)
    assert from_npz.folder != from_csv.folder
    result = from_npz.result
    added = Array(X, Y).log_det_jacobian
    assert (result["data"], result["examples"], result["log_det_jacobian"]) == ("array", 9, added)
    assert result["accuracy"] is not None
    assert f"{added:+.3f} nats turn a log-likelihood into that in the file's own units" in from_npz.out
    again = programs.evaluate(from_csv.folder / "checkpoints" / "best.ckpt")
    assert again.result["ll"] == result["ll"]
    assert again.result["log_det_jacobian"] == added


def test_linear_theory_speaks_of_own_data(programs: Programs) -> None:
    """Standardised columns that are independent have eigenvalues of about 1, and noise of 3 is above them."""
    noise = ["likelihood.scale=3", "likelihood.learn_scale=false"]
    said = programs.train("model=vae", "data=array", "data.path=x.npz", *noise, tiny=TINY).out
    assert "Collapse is to be expected: a linear VAE keeps 0 of 2 latents at the fixed noise of variance 9" in said


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("likelihood=bernoulli", "array has real ones. Use likelihood=gaussian. Or keep zeros and ones"),
        ("data.path=y.npz", "data.path=y.npz does not exist"),
        ("data.labels=kind data.path=x.csv data.columns=[a,kindly]", "Did you mean data.columns=kind?"),
        (
            "data.standardise=true data.binarise=fixed",
            "and data.binarise=fixed exclude each other",
        ),
        ("data.key=z", "holds no array data.key=z"),
        ("categories=5", "categories=5 are more than the 3 classes of array"),
    ],
)
def test_options_that_are_refused(programs: Programs, options: str, words: str) -> None:
    path = [] if "data.path" in options else ["data.path=x.npz"]
    outcome = programs.train("data=array", *path, *options.split(), tiny=TINY)
    assert words in outcome.paragraph
    assert not list(programs.folder.rglob("*.ckpt"))


def colourful(path: Path) -> tuple[int, int]:
    """How many pixels of a picture are red, and how many blue."""
    pixels = np.asarray(Image.open(path).convert("RGB")).astype(int)
    r, g, b = pixels[..., 0], pixels[..., 1], pixels[..., 2]
    return int(((r > 150) & (g < 20) & (b < 20)).sum()), int(((b > 150) & (g < 20) & (r < 20)).sum())


@pytest.mark.parametrize("encoder", ENCODERS)
def test_colours_train_in_a_stack_and_are_seen(programs: Programs, encoder: str) -> None:
    for number, image in enumerate(red(40)):
        Path("folder").mkdir(exist_ok=True)
        Image.fromarray(image).save(f"folder/{number}.png")
    colours = ["data=images", "data.path=folder", "data.colour=true", "latent_dimension=3"]
    outcome = programs.train("model=vae", *colours, f"encoder={encoder}", "-m", "seed=0-1", tiny=TINY)
    assert outcome.status == 0, outcome.err
    folders = sorted(path.parent for path in programs.folder.rglob("result.json"))
    assert len(folders) == 2
    for folder in folders:
        reds, blues = colourful(folder / "latents.png")
        assert reds > 500 > 10 * blues
    result = read_json(folders[1] / "result.json")
    again = programs.evaluate(folders[1] / "checkpoints" / "best.ckpt")
    torch.testing.assert_close(again.result["ll"], result["ll"], rtol=1e-6, atol=1e-6)
    assert result["bits_per_dimension"] == pytest.approx(-result["ll"]["mean"] / np.log(2) / 192)


@pytest.mark.slow
@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli"])
def test_a_stack_on_colours_is_each_seed_alone(programs: Programs, encoder: str, likelihood: str) -> None:
    np.save("rgb.npy", red(60))
    common = ["model=lidvae", "data=array", "data.path=rgb.npy", f"encoder={encoder}", f"likelihood={likelihood}"]
    common += ["map.depth=2"] if likelihood == "gaussian" else ["data.binarise=dynamic"]
    found = {}
    for name, more in (("stack", ["-m", "seed=0-1"]), ("alone", ["-m", "seed=0-1", "hydra/launcher=basic"])):
        outcome = programs.train(*common, f"experiment_name={name}", *more, tiny=TINY)
        assert outcome.status == 0, outcome.err
        paths = sorted((programs.folder / "runs" / name).rglob("result.json"))
        found[name] = [read_json(path)["ll"]["mean"] for path in paths]
        assert len(paths) == 2
    assert found["stack"] == pytest.approx(found["alone"], rel=1e-4)


def test_a_module_in_memory_is_what_diagnose_takes() -> None:
    data = Array(np.random.default_rng(0).normal(size=(300, 2)))
    report = diagnose(encode=lambda x: Normal(0.9 * x, 0.436), prior=Normal(0.0, 1.0), data=data, split="test")
    assert "collapse" in report.verdict().lower()
