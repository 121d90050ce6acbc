"""A configuration in a checkpoint may ask for parts of models, and for nothing else."""

import sys
from types import ModuleType

import pytest

from lid_vae.errors import UserError
from lid_vae.run.permitted import check_targets

PERMITTED = [
    "lid_vae.map.composed_brenier",
    "lid_vae.data.Pinwheel",
    "lid_vae.model.LIDGMVAE",
    "lid_vae.posterior.realnvp_family",
    "lid_vae.data.array.pinwheel.Pinwheel",
    "lid_vae.map.network.mlp.MLP",
    "lid_vae.objective.schedule.Linear",
    "lid_vae.posterior.lstm.LSTMEncoder",
    "lid_vae.model.variants.LIDGMVAE",
    "torch.optim.Adam",
    "torch.optim.SGD",
]
FORBIDDEN = [
    "os.system",
    "builtins.exec",
    "subprocess.Popen",
    "torch.load",
    "torch.optim.os.system",
    "torch.optim.lr_scheduler.LambdaLR",
    "lid_vae.system.files.write_atomic",
    "lid_vae.system.files.os.system",
    "lid_vae.data.base.hashlib.sha256",
    "lid_vae.data.torch",
    "lid_vae.map.__loader__",
    "lid_vae.system.checkpoint.load_checkpoint",
    "lid_vae.map",
    # functions of modules that hold parts, public ones of files and the network among them
    "lid_vae.data.source.fetch",
    "lid_vae.data.source.read_checked",
    "lid_vae.data.array.own.image_array.read_arrays",
    "lid_vae.data.split.hold_out",
    "lid_vae.map.network.counterpart.counterpart_mlp",
    # classes of another module, or that are no parts
    "lid_vae.map.network.counterpart.MLP",
    "lid_vae.map.network.mlp.ReadOutMap",
    "lid_vae.data.array.digits.PixelDataModule",
    "lid_vae.data.array.array_data_module.Corpus",
    "lid_vae.data.source.RemoteFile",
    "lid_vae.data.split.Split",
    "lid_vae.data.base.Path",
    "lid_vae.distribution.components.GaussianComponents",
    "lid_vae.run.build.Best",
    # names that their module does not give away
    "lid_vae.data.array.pinwheel.generator",
    "lid_vae.objective.elbo.__all__",
    "lid_vae.likelihood.base.nn",
    # no modules
    "lid_vae.data.base.DataModule.load",
    "lid_vae.data.base.hashlib.sha256",
    "lid_vae.data..base.DataModule",
    "lid_vae.data.nowhere.Pinwheel",
    "lid_vae.data.__init__.Pinwheel",
    "lid_vae.data.../../../tmp/evil.Part",
    "lid_vae.data.base\n.DataModule",
    "lid_vae.map.network.mlp.MLP ",
    "",
    3,
    None,
]
PLACES = [
    lambda target: {"data": {"_target_": target}},
    lambda target: {"family": {"encoder": {"_target_": target, "_partial_": True}}},
    lambda target: {"map": {"parts": [1, [{"_target_": target}]]}},
    lambda target: {"optimizer": {"_target_": target}},
    lambda target: {"model": {"_target_": target}},
    lambda target: {"hidden": target, "schedule": {"_target_": "${hidden}"}},
    lambda target: {"hidden": {"_target_": target}, "objective": "${hidden}"},
]


@pytest.mark.parametrize("place", PLACES, ids=range(len(PLACES)))
def test_a_configuration_may_call_parts_of_models_only(place):
    for target in PERMITTED:
        assert check_targets(place(target), "some.ckpt")
    for target in FORBIDDEN:
        with pytest.raises(UserError, match=r"(?s)some\.ckpt asks for .* nothing in it was run"):
            check_targets(place(target), "some.ckpt")


def test_a_part_is_what_a_module_defines_and_gives_away(monkeypatch):
    """A module of a room that holds all that it should not: its own public part alone is permitted."""
    source = """
import os
from pathlib import Path
from lid_vae.map import MLP
from lid_vae.map.base import Map

__all__ = ["Absent", "MLP", "Map", "Own", "Path", "Plain", "instance", "own", "os"]

class Own(Map): pass
class Hidden(Map): pass
class Plain: pass
def own(): pass
instance = 3
"""
    module = ModuleType("lid_vae.map.network.strange")
    exec(source, vars(module))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    names = [*vars(module)["__all__"], "Hidden", "__all__", "__builtins__", "os.system", "Own.forward"]
    for name in names:
        config = {"map": {"_target_": f"{module.__name__}.{name}"}}
        if name == "Own":
            assert check_targets(config, "some.ckpt")
        else:
            with pytest.raises(UserError, match="nothing in it was run"):
                check_targets(config, "some.ckpt")


def test_a_configuration_that_cannot_be_resolved():
    with pytest.raises(UserError, match=r"some\.ckpt holds a configuration that cannot be read"):
        check_targets({"width": "${nowhere}"}, "some.ckpt")
