"""Tables are built from result files alone: grouped, averaged over seeds, nothing missing averaged away."""

import json
from statistics import mean, stdev

import pytest

from lid_vae.errors import UserError
from lid_vae.report.table import collect, markdown


def write(folder, seed, ll, name="result.json", split="test", samples=100, accuracy=0.5):
    place = folder / f"seed-{seed}"
    place.mkdir(parents=True, exist_ok=True)
    latent = {"z": {"au": 1.0, "kl": 1.5, "mi": 1.4}}
    result = {"seed": seed, "split": split, "ll": {"mean": ll, "samples": samples}, "elbo": ll - 1, "latent": latent}
    (place / name).write_text(json.dumps(result | {"accuracy": accuracy, "seconds": 10 * seed}))


def test_mean_and_standard_deviation_over_seeds(tmp_path):
    values = {10: -3.25, 2: -1.0, 0: -2.5}
    for seed, ll in values.items():
        write(tmp_path / "vae-pinwheel-gaussian", seed, ll)
    (row,) = collect([tmp_path])
    assert row.seeds == (0, 2, 10)
    assert row.values["LL"] == (-2.5, -1.0, -3.25)
    text = markdown([row])
    assert f"{mean(values.values()):.3f} ({stdev(values.values()):.3f})" in text
    assert "vae-pinwheel-gaussian" in text


def test_splits_and_rulers_have_rows_of_their_own(tmp_path):
    folder = tmp_path / "vae-pinwheel-gaussian"
    write(folder, 0, -2.0)
    write(folder, 0, -1.9, name="evaluation-test-1.json", samples=500)
    write(folder, 0, -2.2, name="evaluation-valid-1.json", split="valid")
    assert [(row.split, row.samples) for row in collect([tmp_path])] == [("test", 100), ("test", 500), ("valid", 100)]


def test_an_unfinished_seed_is_named_and_not_averaged(tmp_path):
    folder = tmp_path / "vae-pinwheel-gaussian"
    write(folder, 0, -2.0)
    (folder / "seed-1" / "checkpoints").mkdir(parents=True)
    (row,) = collect([tmp_path])
    assert row.seeds == (0,)
    assert row.unfinished == ("seed-1",)
    assert "unfinished: seed-1" in markdown([row])


def test_a_measure_that_one_seed_lacks_is_left_out(tmp_path):
    folder = tmp_path / "vae-pinwheel-gaussian"
    write(folder, 0, -2.0)
    write(folder, 1, -2.0, accuracy=None)
    cells = markdown(collect([tmp_path])).splitlines()[-1].split("|")
    header = markdown(collect([tmp_path])).splitlines()[0].split("|")
    assert cells[header.index(" accuracy ")].strip() == "-"


def test_refused_an_empty_folder_and_a_foreign_file(tmp_path):
    with pytest.raises(UserError, match=r"holds no result\.json"):
        collect([tmp_path])
    (tmp_path / "result.json").write_text("{}")
    with pytest.raises(UserError, match="is no result of a run"):
        collect([tmp_path])
    (tmp_path / "result.json").write_text('{"split": "te')
    with pytest.raises(UserError, match="half-written"):
        collect([tmp_path])
