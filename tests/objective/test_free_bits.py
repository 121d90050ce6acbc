"""Free bits: the maximum of Kingma et al. (2016), its gradient, the plain bound at 0, and where it does not exist."""

import pytest
import torch
from builders import COMBINATIONS, REPARAMETRISED, data, infer, make_vae, randomise
from torch import nn
from torch.func import functional_call, stack_module_state, vmap

from lid_vae.distribution import closed_form_kl, grouped_kl
from lid_vae.errors import UserError
from lid_vae.objective import ELBO, FreeBits, Linear
from lid_vae.vae import Autoencoder

SPLIT = [("standard_normal", "conditional", "gaussian"), ("gaussian", "enumerate", "gaussian")]
combinations = pytest.mark.parametrize(("prior", "mixture", "family"), COMBINATIONS)
split = pytest.mark.parametrize(("prior", "mixture", "family"), SPLIT)


def gradients(vae: Autoencoder, value: torch.Tensor) -> list[torch.Tensor]:
    parameters = [parameter for parameter in vae.parameters() if parameter.requires_grad]
    return list(torch.autograd.grad(value.mean(), parameters, materialize_grads=True))


def same(first: list[torch.Tensor], second: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize(
    ("prior", "mixture", "family", "per"),
    [(*row, "total") for row in COMBINATIONS] + [(*row, "dimension") for row in SPLIT],
)
def test_none_free_is_the_elbo_bit_for_bit(prior: str, mixture: str, family: str, per: str) -> None:
    vae = make_vae(prior, mixture, family)
    x = data(vae)
    q, noise = infer(vae, x, 3)
    free = FreeBits(0, per, beta=0.7, samples=3)(vae, x, q, noise)
    plain = ELBO(beta=0.7, samples=3)(vae, x, q, noise)
    assert torch.equal(free, plain)
    q, _ = infer(vae, x, 3)
    assert same(gradients(vae, free), gradients(vae, ELBO(0.7, samples=3)(vae, x, q, noise)))


@combinations
def test_total_is_the_maximum_over_the_batch(prior: str, mixture: str, family: str) -> None:
    """mean_x E_q log p(x | w) - beta max(floor, mean_x KL), with the KL's gradient above the floor and none below."""
    vae = make_vae(prior, mixture, family)
    x, beta = data(vae), 0.6
    q, noise = infer(vae, x, 3)
    terms = vae.terms(x, q, noise)
    sampled = terms.expectation(terms.log_posterior - terms.log_prior).mean(0)
    kl = sampled if terms.kl is None or not terms.reparametrised else terms.kl
    likelihood = terms.expectation(terms.log_likelihood).mean()
    middle = float(kl.mean().detach())
    for floor, weight in ((middle - 0.1, beta), (middle + 0.1, 0.0)):
        if floor <= 0:
            continue
        value = FreeBits(floor, beta=beta, samples=3)(vae, x, q, noise)
        assert value.shape == (len(x),)
        torch.testing.assert_close(value.mean(), likelihood - beta * max(floor, middle))
        elbo = ELBO(weight, samples=3, closed_form=True)(vae, x, infer(vae, x, 3)[0], noise)
        for mine, plain in zip(
            gradients(vae, FreeBits(floor, beta=beta, samples=3)(vae, x, infer(vae, x, 3)[0], noise)),
            gradients(vae, elbo),
            strict=True,
        ):
            torch.testing.assert_close(mine, plain)


@split
def test_each_dimension_has_its_own_maximum(prior: str, mixture: str, family: str) -> None:
    vae = make_vae(prior, mixture, family)
    x = data(vae)
    q, noise = infer(vae, x, 2)
    mean = grouped_kl(q, vae.prior()).mean(0).detach()
    floor = float(mean.sort().values[:2].mean())  # one below it, the others above
    value = FreeBits(floor, "dimension", beta=0.5, samples=2)(vae, x, q, noise)
    terms = vae.terms(x, q, noise)
    expected = terms.expectation(terms.log_likelihood).mean() - 0.5 * mean.clamp_min(floor).sum()
    torch.testing.assert_close(value.mean(), expected)
    (gradient,) = torch.autograd.grad(FreeBits(floor, "dimension")(vae, x, q, 0 * noise).sum(), q.scale)
    terms = vae.terms(x, q, 0 * noise)  # at noise 0 the likelihood does not depend on the scale
    (full,) = torch.autograd.grad(-closed_form_kl(q, terms.prior).sum(), q.scale)
    paid = (mean > floor)[-2:]
    assert 0 < int((mean > floor).sum()) < len(mean)
    torch.testing.assert_close(gradient[..., paid], full[..., paid])
    assert bool((gradient[..., ~paid] == 0).all())


def test_training_stops_paying_at_the_floor() -> None:
    """A decoder that ignores the latent: the ELBO gives up the whole KL, free bits keep it near the floor."""
    left = {}
    for name, objective in {"free": FreeBits(1.0), "plain": ELBO()}.items():
        vae = make_vae("standard_normal")
        with torch.no_grad():
            vae.likelihood.map.output.weight.zero_()
        x = data(vae, 32)
        optimizer = torch.optim.SGD(vae.posterior.parameters(), 0.05)  # no momentum, which would carry it on
        for step in range(150):
            q, noise = infer(vae, x, 1, step)
            optimizer.zero_grad()
            (-objective(vae, x, q, noise).mean()).backward()
            optimizer.step()
        left[name] = float(closed_form_kl(infer(vae, x, 1)[0], vae.prior()).mean().detach())
    assert left["plain"] < 0.05
    assert 0.8 < left["free"] < 1.05


def test_annealing_moves_beta() -> None:
    objective = FreeBits(0.5, beta=Linear(0.0, 1.0, 0.5))
    assert objective.beta == 0
    objective.advance(25, 100)
    assert objective.beta == pytest.approx(0.5)


class Bound(nn.Module):
    """The mean bound as a forward pass, which is what functional_call calls."""

    def __init__(self, vae: Autoencoder, objective: FreeBits) -> None:
        super().__init__()
        self.vae, self.objective = vae, objective

    def forward(self, x: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        q = self.vae.posterior.distribution(self.vae.posterior.encode(x))
        return self.objective(self.vae, x, q, noise)


@pytest.mark.parametrize("per", ["total", "dimension"])
def test_stacked_seeds_have_gates_of_their_own(per: str) -> None:
    vaes = [randomise(make_vae("standard_normal"), key, spread) for key, spread in ((1, 0.05), (2, 1.5))]
    x = torch.stack([data(vaes[0], key=key) for key in (1, 2)])
    noise = torch.stack([infer(vaes[0], x[0], 2, key)[1] for key in (1, 2)])
    bounds = [Bound(vae, FreeBits(1.0, per)) for vae in vaes]
    states = stack_module_state(bounds)
    stacked = vmap(lambda state, x, noise: functional_call(bounds[0], state, (x, noise)))(states, x, noise)
    alone = torch.stack([bound(x[k], noise[k]) for k, bound in enumerate(bounds)])
    torch.testing.assert_close(stacked, alone)
    kl = [float(closed_form_kl(infer(vae, x[k], 1)[0], vae.prior()).mean().detach()) for k, vae in enumerate(vaes)]
    assert kl[0] < 1 < kl[1], "one gate is closed, the other open"


@pytest.mark.parametrize(
    ("prior", "mixture", "family"),
    [row for row in REPARAMETRISED if row not in SPLIT] + [("bernoulli", "enumerate", "gaussian")],
)
def test_no_divergence_by_dimension_is_refused(prior: str, mixture: str, family: str) -> None:
    vae = make_vae(prior, mixture, family)
    x = data(vae)
    with pytest.raises(UserError, match=r"KL in closed form for each.*Use per='total', or gaussian_family"):
        FreeBits(0.5, "dimension", samples=2)(vae, x, *infer(vae, x, 2))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"free_bits": -1.0}, r"free_bits=-1\.0.*free_bits=0"),
        ({"per": "group"}, r"per=group is not known"),
        ({"samples": 0}, "at least one sample"),
        ({"beta": -1.0}, "cannot be negative"),
    ],
)
def test_refused_options(options: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        FreeBits(**options)
