"""What has become of every run of a sweep."""

import json
import os
import re
import time
from dataclasses import asdict, replace

import pytest
from runs import Programs, without_reader

from lid_vae.launch.bars import LEGEND, bars
from lid_vae.launch.manifest import expected_seeds
from lid_vae.launch.status import RunState, read_states
from lid_vae.launch.time_left import time_left
from lid_vae.sweep import main
from lid_vae.system.lock import Owner, claim, lock_path


def told(capsys, *words):
    main(["status", *map(str, words)])
    return capsys.readouterr().out.splitlines()


def fill(configuration, seed, name, value):
    folder = configuration / f"seed-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(value if isinstance(value, str) else json.dumps(value))
    return folder


def test_every_state_is_told(tmp_path, capsys):
    runs = tmp_path / "runs"
    vae = runs / "default" / "vae-pinwheel-realnvp"
    for seed in (0, 1):
        fill(vae, seed, "result.json", {"config_hash": "aaaaaaaa"})
    fill(vae, 2, "failed.json", {"error": "The training bound became nan at step 6."})
    fill(vae, 3, "failed.json", {"error": "The training bound became nan at step 6."})
    fill(vae, 4, "config.yaml", "seed: 4")
    fill(vae, 5, "result.json", '{"config_hash": ')
    running = fill(vae, 6, "config.yaml", "seed: 6")
    dead = fill(vae, 7, "config.yaml", "seed: 7")
    lock_path(dead).write_text(json.dumps(asdict(replace(Owner.here(), process="1"))))
    fill(runs / "default" / "vae-pinwheel-realnvp", 8, "config.yaml", "").rename(vae / "seed-8.superseded")
    (runs / "default" / "sweep.json").write_text(
        json.dumps({"runs": {"vae-pinwheel-realnvp": "0-9", "gmvae-pinwheel-realnvp": "0"}})
    )
    with claim(running):
        lines = told(capsys, runs)

    owner = Owner.here()
    assert lines == [
        f"{runs}: 11 runs: 2 finished, 1 running, 3 failed, 2 interrupted, 3 missing",
        "default/gmvae-pinwheel-realnvp",
        "  [....................]  0 of 1 finished, 1 waiting",
        "default/vae-pinwheel-realnvp",
        "  [####>>xxxxxx........]  2 of 10 finished, 1 running, 3 failed, 4 waiting",
        LEGEND,
        f"running      default/vae-pinwheel-realnvp  seed 6: process {owner.pid} on {owner.host}",
        "failed       default/vae-pinwheel-realnvp  seeds 2-3: The training bound became nan at step 6.",
        "failed       default/vae-pinwheel-realnvp  seed 5: "
        "result.json is damaged: delete it, and run the command again",
        "interrupted  default/vae-pinwheel-realnvp  seeds 4,7",
        "missing      default/gmvae-pinwheel-realnvp  seed 0",
        "missing      default/vae-pinwheel-realnvp  seeds 8-9",
    ]
    counts = [len(read_states(folder)) for folder in (runs, runs / "default", vae, vae / "seed-2")]
    assert counts == [11, 11, 10, 1]


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_bars_keep_within_the_width_and_are_the_same_without_colour(tmp_path, width):
    finished = [RunState(tmp_path / f"vae-{k}", seed, "finished") for k in range(30) for seed in range(3)]
    states = [RunState(tmp_path / "gmvae", seed, "failed" if seed else "finished") for seed in range(1000)] + finished
    lines = bars(tmp_path, states, width)
    assert len(lines) in (3, 4)
    assert "30 further configurations: all finished" in lines
    assert all(len(line) <= width for line in lines if line != LEGEND)
    assert re.search(r"\[#x+\]", " ".join(lines)), "one of a thousand shows"
    coloured = bars(tmp_path, states, width, colour=True)
    assert [re.sub(r"\x1b\[\d+m", "", line) for line in coloured] == lines


def timed(configuration, seed, seconds, together=1, after=None):
    """A finished run; its files say that it ended ``after`` it began, seconds."""
    folder = fill(
        configuration, seed, "result.json", {"config_hash": "a", "seconds": seconds, "seeds_together": together}
    )
    fill(configuration, seed, "config.yaml", "")
    os.utime(folder / "config.yaml", (1000, 1000))
    os.utime(folder / "result.json", (1000, 1000 + (after or seconds)))


def test_the_time_left_is_estimated_from_finished_runs_alone(tmp_path):
    (tmp_path / "sweep.json").write_text(json.dumps({"runs": {"vae": "0-4", "gmvae": "0-1"}}))
    fill(tmp_path / "vae", 4, "config.yaml", "")
    assert time_left(read_states(tmp_path)) is None, "nothing is finished"
    timed(tmp_path / "vae", 0, 300, after=600)  # with its evaluation
    timed(tmp_path / "vae", 1, 1200, together=2)  # the share of one of two
    unknown = "; nothing is known of 2 other runs, of whose kind none is finished"
    line = "time left    about {} once the command goes on, an estimate from {} finished run{}"
    assert time_left(read_states(tmp_path)) == line.format("30 min", 2, "s") + unknown
    running = fill(tmp_path / "vae", 2, "config.yaml", "")
    os.utime(running / "config.yaml", (time.time() - 300, time.time() - 300))
    with claim(running):
        told = time_left(read_states(tmp_path))
    assert told == "time left    about 25 min, an estimate from 2 finished runs" + unknown
    timed(tmp_path / "gmvae", 0, 60)
    assert "of 2 other" not in time_left(read_states(tmp_path))
    for configuration, seeds in (("vae", (2, 3, 4)), ("gmvae", (1,))):
        for seed in seeds:
            timed(tmp_path / configuration, seed, 60)
    assert time_left(read_states(tmp_path)) is None, "nothing is left"


def test_a_folder_without_runs_is_refused(tmp_path, capsys):
    for words, message in (
        ([tmp_path / "no"], "is no folder"),
        ([tmp_path], "holds no run"),
        ([], "No folder is named"),
    ):
        with pytest.raises(SystemExit) as end:
            main(["status", *map(str, words)])
        assert end.value.code == 1
        assert message in capsys.readouterr().err


def test_a_sweep_records_what_it_is_to_hold(tmp_path, capsys):
    programs = Programs(tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lid_vae.run.fit.build_data", lambda cfg: 1 / 0)
        assert programs.train("-m", "model=vae,gmvae", "seed=0-2", "hydra/launcher=basic").status == 1
        assert programs.train("-m", "model=vae", "seed=7").status == 1
    runs = tmp_path / "runs"
    found = expected_seeds(runs / "default")
    assert sorted(found.values(), key=len) == [{0, 1, 2}, {0, 1, 2, 7}]
    (vae,) = (runs / "default").glob("vae-*")
    assert found[vae.name] == {0, 1, 2, 7}
    lines = told(capsys, runs)
    assert lines[0].endswith("7 runs: 0 finished, 7 failed")
    assert all("ZeroDivisionError" in line for line in lines[-2:])


@pytest.mark.slow
def test_ten_thousand_runs_in_seconds(tmp_path, capsys):
    result = {"config_hash": "aaaaaaaa", "elbo": -1.0, "latent": {"z": {"kl": 1.0}}, "padding": "x" * 3000}
    text = json.dumps(result)
    for number in range(1000):
        for seed in range(10):
            fill(tmp_path / "sweep" / f"model-data-family-{number:08x}", seed, "result.json", text)
    begun = time.process_time()
    lines = told(capsys, tmp_path / "sweep")
    assert lines == [f"{tmp_path / 'sweep'}: 10000 runs: 10000 finished", "1000 configurations: all finished"]
    assert time.process_time() - begun < 10


@pytest.mark.parametrize("words", [["--help"], ["status", "<folder>"]])
def test_the_command_ends_quietly_where_its_reader_has_gone(tmp_path, words):
    fill(tmp_path / "default" / "vae-pinwheel-realnvp", 0, "config.yaml", "seed: 0")
    done = without_reader("-m", "lid_vae.sweep", *(word.replace("<folder>", str(tmp_path)) for word in words))
    assert (done.returncode, done.stderr) == (0, "")
