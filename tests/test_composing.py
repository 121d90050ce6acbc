"""What the tests keep of Hydra's work is what Hydra does anew."""

import json
import os
from pathlib import Path

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from prepared import run_program

CONF = Path(__file__).resolve().parents[1] / "conf"
PROGRAM = """
import json, sys
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
with initialize_config_dir(sys.argv[1], version_base="1.3"):
    for words in json.loads(sys.argv[2]):
        print(json.dumps(OmegaConf.to_yaml(compose("train", words, return_hydra_config=True))))
"""
CHOICES = [
    ["model=lidgmvae", "seed=3"],
    ["model=lidgmvae", "seed=4", "map.depth=1", "+extra=1"],
    ["model=sa_vae", "data=digits", "~schedule"],
    ["experiment=table_digits", "model=gmvae", "hydra/launcher=basic", "hydra.searchpath=[pkg://lid_vae]"],
]


def test_it_is_hydras_own() -> None:
    """The first time, and from what is kept."""
    done = run_program(["-c", PROGRAM, str(CONF), json.dumps(CHOICES)], Path.cwd(), dict(os.environ))
    assert done.returncode == 0, done.stderr
    plain = [json.loads(line) for line in done.stdout.splitlines()]
    for _ in range(2):
        with initialize_config_dir(str(CONF), version_base="1.3"):
            ours = [OmegaConf.to_yaml(compose("train", words, return_hydra_config=True)) for words in CHOICES]
        assert ours == plain


def test_a_file_that_changes_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "train.yaml"
    with initialize_config_dir(str(tmp_path), version_base="1.3"):
        for value in (1, 2, 30):
            file.write_text(f"value: {value}\n")
            assert compose("train").value == value
            compose("train").value = 7  # of a copy
            assert compose("train").value == value
