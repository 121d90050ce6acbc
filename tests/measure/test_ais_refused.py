"""What annealed importance sampling refuses, in words: binary and sequential models, and inputs that do not fit."""

import pytest
from builders import make_vae

from lid_vae.errors import UserError
from lid_vae.likelihood import autoregressive_likelihood
from lid_vae.map.network.counterpart import counterpart_mlp
from lid_vae.measure.annealed import Annealing, PriorTarget, annealed_bounds, simulate, target_of
from lid_vae.noise import generator
from lid_vae.posterior import AmortizedPosterior, LSTMEncoder
from lid_vae.prior import StandardNormalPrior
from lid_vae.vae import Autoencoder


def test_a_binary_latent_is_refused() -> None:
    vae = make_vae("bernoulli")
    with pytest.raises(UserError, match=r"the w of this ExponentialFamilyMixture is binary.*component='gaussian'"):
        target_of(vae)
    with pytest.raises(UserError, match="a binary w has none"):
        PriorTarget(vae.prior(), lambda w: w.sum(-1), 3)


def test_text_is_refused() -> None:
    likelihood = autoregressive_likelihood(counterpart_mlp_of(8), 2, 12, embedding=4, hidden=4)
    vae = Autoencoder(StandardNormalPrior(2), likelihood, AmortizedPosterior(LSTMEncoder((12,), 4, 4), 2))
    with pytest.raises(UserError, match=r"not offered for models of text \(AutoregressiveLikelihood\)"):
        target_of(vae)


def counterpart_mlp_of(width: int):
    return lambda in_features, out_features: counterpart_mlp(
        in_features, out_features, hidden_layers=1, depth=1, width=width
    )


def test_what_does_not_fit_is_refused() -> None:
    vae = make_vae("gaussian")
    w, x = simulate(vae, 6, generator("refused"))
    settings = Annealing(steps=0, chains=2)
    with pytest.raises(UserError, match="start=encoder is not known"):
        target_of(vae, start="encoder")
    with pytest.raises(UserError, match="got 6 of x and 5 of w"):
        annealed_bounds(target_of(vae), x, settings, w=w[:5])
    with pytest.raises(UserError, match="x is empty"):
        annealed_bounds(target_of(vae), x[:0], settings)
    done = annealed_bounds(target_of(vae), x, settings)
    with pytest.raises(UserError, match="are of 6 examples without upper bounds, and these are 4"):
        annealed_bounds(target_of(vae), x[:4], settings, done=done)
    with pytest.raises(UserError, match="are of 6 examples without upper bounds, and these are 6 with the w"):
        annealed_bounds(target_of(vae), x, settings, w=w, done=done)
    shorter = annealed_bounds(target_of(vae), x[:4], settings)
    with pytest.raises(UserError, match="are of 4 examples without upper bounds, and these are 6 with the w"):
        annealed_bounds(target_of(vae), x, settings, w=w, done=shorter)
    with pytest.raises(UserError, match="not finite"):
        annealed_bounds(target_of(vae), x, settings, w=w / 0)
