"""The groups of parameters that optimisers step."""

import pytest

from lid_vae.errors import UserError


def test_model_and_posterior_are_all(make) -> None:
    module, _ = make("data=pinwheel", "model=lidgmvae", "inference=aggressive")
    groups = {group: {id(p) for p in module.parameter_group(group)} for group in ("all", "model", "posterior")}
    assert groups["model"] | groups["posterior"] == groups["all"]
    assert not groups["model"] & groups["posterior"]
    assert len(module.configure_optimizers()) == 2


def test_a_group_without_parameters_is_refused(make) -> None:
    module, _ = make("data=pinwheel", "model=vae", "inference=aggressive")
    module.vae.posterior.requires_grad_(False)
    with pytest.raises(UserError, match=r"Aggressive trains the parameters of the posterior apart.*Use Amortized"):
        module.configure_optimizers()
