"""A configuration in a checkpoint may ask for parts of models, and for nothing else."""

import pytest

from lid_vae.errors import UserError
from lid_vae.run.permitted import check_targets

PERMITTED = [
    "lid_vae.map.composed_brenier",
    "lid_vae.data.Pinwheel",
    "lid_vae.train.LIDGMVAE",
    "lid_vae.posterior.realnvp_family",
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
        with pytest.raises(UserError, match=r"some\.ckpt asks for .* nothing in it was run"):
            check_targets(place(target), "some.ckpt")


def test_a_configuration_that_cannot_be_resolved():
    with pytest.raises(UserError, match=r"some\.ckpt holds a configuration that cannot be read"):
        check_targets({"width": "${nowhere}"}, "some.ckpt")
