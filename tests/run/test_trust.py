"""Checkpoints of a user's own parts: announced before training, refused in evaluation, evaluated where trusted."""

import sys

import pytest
from runs import Programs

from lid_vae.errors import UserError
from lid_vae.run.permitted import check_targets, own_packages

OWN = """
from lid_vae.map import MLP

class Wide(MLP):
    pass

def wide(in_features, out_features, depth=1):
    return Wide(in_features, out_features, 8, 1)
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    (tmp_path / "myparts.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    yield "myparts"
    sys.modules.pop("myparts", None)


def test_an_own_part_is_announced_trained_refused_and_evaluated_where_trusted(package, tmp_path):
    (tmp_path / "own" / "map").mkdir(parents=True)
    (tmp_path / "own" / "map" / "wide.yaml").write_text("_target_: myparts.wide\n_partial_: true\ndepth: 1\n")
    programs = Programs(tmp_path)
    run = programs.train("--config-dir", str(tmp_path / "own"), "model=gmvae", "map=wide")
    assert run.status == 0, run.err
    assert "myparts.wide is a part of your own" in run.out
    assert run.out.index("trust=myparts") < run.out.index("result ")
    best = run.folder / "checkpoints" / "best.ckpt"
    refused = programs.evaluate(best).paragraph
    assert "nothing in it was run" in refused
    assert "trust=myparts" in refused
    trusted = programs.evaluate(best, "trust=myparts")
    assert trusted.status == 0, trusted.err
    assert programs.evaluate(best, "trust=[other,myparts]").status == 0
    assert "trust=my parts is no package" in programs.evaluate(best, "trust='my parts'").paragraph


@pytest.mark.parametrize(
    ("target", "trust"),
    [("mine.map.Map", ["mine"]), ("mine.map.Map", ["mine.map"]), ("mine.f", ["other", "mine"])],
)
def test_what_is_trusted(target, trust):
    assert check_targets({"map": {"_target_": target}}, "a.ckpt", trust)


@pytest.mark.parametrize(
    ("target", "trust"), [("mine.f", ["min"]), ("mine.f", []), ("os.system", ["mine"]), ("miner.f", ["mine"])]
)
def test_what_is_not(target, trust):
    with pytest.raises(UserError, match="nothing in it was run"):
        check_targets({"map": {"_target_": target}}, "a.ckpt", trust)


def test_nobody_is_told_to_trust_what_is_no_package_of_parts():
    with pytest.raises(UserError) as told:
        check_targets({"map": {"_target_": "os.system"}}, "a.ckpt")
    assert "trust=" not in str(told.value)


def test_parts_of_this_program_are_not_announced():
    config = {"map": {"_target_": "lid_vae.map.MLP"}, "optimizer": {"_target_": "torch.optim.Adam"}}
    assert own_packages(config) == {}
    assert own_packages({**config, "encoder": {"_target_": "mine.Encoder"}}) == {"mine.Encoder": "mine"}


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["map=wyde"], "Did you mean map=wide?"),
        (["map=wide", "map.dept=3"], "Did you mean map.depth?"),
        (["map=wide", "widht=3"], "Did you mean width?"),
    ],
)
@pytest.mark.parametrize("flag", ["--config-dir", "-cd"])
def test_own_choices_have_the_help_of_built_in_ones(tmp_path, words, hint, flag):
    (tmp_path / "map").mkdir()
    (tmp_path / "map" / "wide.yaml").write_text("_target_: myparts.wide\n_partial_: true\ndepth: 1\n")
    assert hint in Programs(tmp_path).train(flag, str(tmp_path), "model=gmvae", *words).paragraph
