"""The figures of a diagnosis against closed forms, brute force and the evaluator."""

from math import log

import pytest
import torch
import zuko
from builders import COMBINATIONS, data, make_vae, normal, ppca_vae
from torch.distributions import (
    Bernoulli,
    Beta,
    Categorical,
    Dirichlet,
    Gamma,
    Independent,
    Laplace,
    LogNormal,
    MixtureSameFamily,
    MultivariateNormal,
    Normal,
    OneHotCategorical,
    TanhTransform,
    TransformedDistribution,
    Uniform,
)

from lid_vae.classical.ppca import PPCA, fit, sample_covariance
from lid_vae.diagnosis import Report, diagnose
from lid_vae.measure.evaluator import Evaluator
from lid_vae.noise import generator

SCALE = torch.tensor([0.6, 0.8, 0.9998, 1.0], dtype=torch.float64)
GAIN = (1 - SCALE.square()).sqrt()
PRIOR = Normal(torch.zeros((), dtype=torch.float64), 1.0)


def known(x: torch.Tensor) -> Normal:
    """The q whose aggregate is the prior where x is standard normal: KL and MI are both -sum log scale."""
    return Normal(GAIN * x, SCALE.expand_as(x))


def truth(count: int = 400) -> torch.Tensor:
    weight = torch.tensor([[3.0, 1.0, 0.0, 1.0, 0.5], [0.0, 0.7, 0.7, 0.0, 0.3]]).double()
    return PPCA(weight, 0.5, torch.arange(5.0)).sample(count, generator("truth"))


def ppca_report(model: PPCA, x: torch.Tensor, samples: int = 10) -> Report:
    noise = model.noise_variance**0.5
    return diagnose(
        encode=model.posterior,
        log_likelihood=lambda x, z: Normal(model.mean + z @ model.weight, noise).log_prob(x).sum(-1),
        prior=PRIOR,
        data=x,
        samples=samples,
        batch_size=150,
    )


def test_ppcas_closed_forms() -> None:
    """With the exact posterior LL, ELBO and KL are exact; the information within 4 standard errors."""
    x = truth()
    model = fit(x, 2)
    report = ppca_report(model, x)
    likelihood = model.log_likelihood(x)
    assert report.ll is not None
    assert report.elbo is not None
    assert report.ll.value == pytest.approx(float(likelihood.mean()), rel=1e-10)
    assert report.ll.error == pytest.approx(float(likelihood.std() / 20), rel=1e-6)
    assert report.elbo.value == pytest.approx(float(likelihood.mean()), rel=1e-10)
    assert report.kl.value == pytest.approx(float(model.kl(x).mean()), rel=1e-9)
    assert report.kl.error == pytest.approx(float(model.kl(x).std() / 20), rel=1e-6)
    exact = model.empirical_information(x)
    assert abs(report.mi.estimate - exact) < 4 * report.mi.error
    assert report.mi.upper is not None
    assert report.mi.upper > exact
    activity = model.posterior_mean_variance(sample_covariance(x))
    for one, expected, kl in zip(report.first.dimensions, activity, model.kl_per_direction(x).mean(0), strict=True):
        assert one.activity == pytest.approx(float(expected), rel=1e-6)
        assert one.kl is not None
        assert one.kl.value == pytest.approx(float(kl), rel=1e-6)


def test_the_control_variate_narrows_the_information() -> None:
    """Over 40 seeds: the spread falls below that of the plain estimate, and the errors are as large as it is."""
    x = truth(150)
    model = fit(x, 2)

    def reports(seed: int) -> Report:
        return diagnose(encode=model.posterior, prior=PRIOR, data=x, seed=seed)

    found = [reports(seed) for seed in range(40)]
    controlled = torch.tensor([one.mi.estimate for one in found])
    plain = []
    for seed in range(40):
        q, rng = model.posterior(x), generator("plain", seed)
        z = q.mean + torch.randn(q.mean.shape, generator=rng, dtype=torch.float64) @ q.scale_tril[0].T
        pairs = q.log_prob(z.unsqueeze(1))
        plain.append(float((pairs.diagonal() - pairs.logsumexp(1) + log(150)).mean()))
    assert controlled.std() < 0.8 * torch.tensor(plain).std()
    # a t-test of 40 at four errors; the stated error is over examples too, and so no less than the draws' spread
    exact = model.empirical_information(x)
    assert abs(float(controlled.mean()) - exact) < 4 * float(controlled.std()) / 40**0.5
    assert float(controlled.std()) < 1.3 * found[0].mi.error


def test_a_posterior_whose_aggregate_is_the_prior() -> None:
    """MI = KL = -sum log scale in the limit, dimensions 2 and 3 dead; within 4 standard errors."""
    x = normal(4000, 4)
    report = diagnose(encode=known, prior=PRIOR, data=x)
    exact = -float(SCALE.log().sum())
    assert abs(report.kl.value - exact) < 4 * report.kl.error
    assert abs(report.mi.estimate - exact) < 4 * report.mi.error + 0.05
    assert report.au.value == 0.5
    assert report.ll is None
    assert report.elbo is None
    assert [one.active for one in report.first.dimensions] == [True, True, False, False]
    assert report.first.dimensions[1].activity == pytest.approx(float((GAIN * x).var(0, unbiased=False)[1]))
    assert report.kl_by_dimension is not None
    assert sum(float(one) for one in report.kl_by_dimension) == pytest.approx(report.kl.value)


def test_the_error_of_the_activity() -> None:
    """Of 300 sets of 200 examples the spread is the stated error, within 20 per cent; exact means and halves."""
    found, errors = [], []
    for key in range(300):
        x = normal(200, 4, key=key)
        one = diagnose(encode=known, prior=PRIOR, data=x, samples=2).first.dimensions[0]
        found.append(one.activity)
        errors.append(one.error)
    assert torch.tensor(errors).mean() == pytest.approx(float(torch.tensor(found).std()), rel=0.2)
    assert torch.tensor(found).mean() == pytest.approx(float(GAIN[0].square()), rel=0.03)


@pytest.mark.parametrize(("prior", "mixture", "family"), COMBINATIONS)
def test_own_models_are_as_the_evaluator_says(prior: str, mixture: str, family: str) -> None:
    vae = make_vae(prior, mixture, family)
    x = data(vae, 90)

    def infer(x: torch.Tensor, noise: torch.Tensor):
        return vae.posterior.distribution(vae.posterior.encode(x))

    evaluator = Evaluator(vae, infer, 6, by_dimension=True)
    for piece in x.split(40):
        evaluator.update(piece)
    expected = evaluator.compute()
    report = diagnose(vae, x, samples=6, batch_size=40)
    assert report.ll is not None
    assert report.elbo is not None
    assert report.ll.value == pytest.approx(expected["ll"]["mean"], abs=1e-6)
    assert report.ll.error == pytest.approx(expected["ll"]["se"], abs=1e-6)
    assert report.elbo.value == pytest.approx(expected["elbo"], abs=1e-6)
    assert list(report.latent) == [name for name in expected["latent"] if name != "joint"]
    for name, block in report.latent.items():
        other = expected["latent"][name]
        assert block.au.value == pytest.approx(other["au"], abs=1e-6)
        assert block.au_absolute.value == pytest.approx(other["au_absolute"], abs=1e-6)
        assert block.kl.estimate == pytest.approx(other["kl"], abs=1e-6)
        if block.kind == "categorical":
            assert block.mi.estimate == pytest.approx(other["mi"], abs=1e-6)
            assert block.usage == pytest.approx(other["usage"])
            assert block.mi.upper is None or block.mi.upper == pytest.approx(other["mi_upper"], abs=1e-6)
        else:
            # one draw each: enumerated ones draw their category elsewhere, and the exact KL is a control variate
            assert abs(block.mi.estimate - other["mi"]) < 4 * (block.mi.error + other["mi_se"])
        if "kl_by_dimension" in other and not (prior == "standard_normal" and family == "gaussian"):
            assert [one.estimate for one in block.kl_by_dimension or ()] == pytest.approx(other["kl_by_dimension"])
    if "joint" in expected["latent"]:
        assert report.joint_kl is not None
        assert report.joint_kl.estimate == pytest.approx(expected["latent"]["joint"]["kl"], abs=1e-6)


def test_own_and_foreign_agree_on_ppca() -> None:
    x = truth()
    model = fit(x, 2)
    own, foreign = diagnose(ppca_vae(model), x), ppca_report(model.in_principal_axes(), x)
    assert own.kl.value == pytest.approx(foreign.kl.value, rel=1e-6)
    assert own.kl.how == foreign.kl.how == "closed form"
    assert abs(own.mi.estimate - foreign.mi.estimate) < 4 * (own.mi.error + foreign.mi.error)


@pytest.mark.parametrize("one_hot", [False, True])
def test_a_categorical_latent_is_summed(one_hot: bool) -> None:
    logits = 2 * normal(100, 3)
    centre, p = normal(3, 2, key="centre"), torch.tensor([0.5, 0.3, 0.2]).double()
    x = normal(100, 2, key="x")
    rows = torch.cat([x, logits], -1)
    made = OneHotCategorical if one_hot else Categorical

    def log_likelihood(x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        mean = z @ centre if one_hot else centre[z]
        return Normal(mean, 1.0).log_prob(x[:, :2]).sum(-1)

    report = diagnose(
        encode=lambda x: made(logits=x[:, 2:]),
        log_likelihood=log_likelihood,
        prior=made(probs=p),
        data=rows,
        batch_size=30,
    )
    q = logits.softmax(-1)
    joint = Normal(centre, 1.0).log_prob(x.unsqueeze(1)).sum(-1) + p.log()
    assert report.ll is not None
    assert report.elbo is not None
    assert report.ll.value == pytest.approx(float(joint.logsumexp(-1).mean()))
    assert report.elbo.value == pytest.approx(float((q * (joint - q.log())).sum(-1).mean()))
    assert report.kl.value == pytest.approx(float((q * (q / p).log()).sum(-1).mean()))
    assert report.mi.value == pytest.approx(float((q * (q / q.mean(0)).log()).sum(-1).mean()))
    assert report.mi.samples is report.ll.samples is None
    assert report.first.usage == pytest.approx(q.mean(0).tolist())
    active = q.var(0, unbiased=False) >= 0.01 * p * (1 - p)
    assert report.au.value == float(active.double().mean())


def flow_of(features: int, context: int) -> zuko.flows.MAF:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return zuko.flows.MAF(features, context, transforms=1, hidden_features=(8,)).double().requires_grad_(False)


FLOW, FREE = flow_of(2, 4), flow_of(2, 0)
UNIT = torch.ones((), dtype=torch.float64)
FULL = torch.tensor([[0.7, 0.0], [0.3, 0.6]], dtype=torch.float64)


def mixture(x: torch.Tensor) -> MixtureSameFamily:
    parts = Independent(Normal(torch.stack([x[:, :2], -x[:, 2:]], 1), 0.5), 1)
    return MixtureSameFamily(Categorical(torch.ones(len(x), 2).double()), parts)


KINDS = {
    "multivariate": (lambda x: MultivariateNormal(0.5 * x[:, :2], scale_tril=FULL), PRIOR),
    "multivariate prior": (
        lambda x: Normal(0.5 * x[:, :2], 0.8 * UNIT),
        MultivariateNormal(torch.zeros(2).double(), FULL @ FULL.T),
    ),
    "independent": (
        lambda x: Independent(Normal(0.5 * x[:, :2], 0.8 * UNIT), 1),
        Normal(torch.zeros(2).double(), UNIT),
    ),
    "single": (lambda x: Normal(0.5 * x[:, 0], 0.8 * UNIT), PRIOR),
    "image": (lambda x: Normal(0.5 * x.reshape(-1, 1, 2, 2), 0.8 * UNIT), PRIOR),
    "log-normal": (lambda x: LogNormal(0.5 * x[:, :2], 0.8 * UNIT), LogNormal(0 * UNIT, UNIT)),
    "log-normal from gamma": (lambda x: LogNormal(0.5 * x[:, :2], 0.8 * UNIT), Gamma(2 * UNIT, UNIT)),
    "laplace": (lambda x: Laplace(0.5 * x[:, :2], 0.8 * UNIT), Laplace(0 * UNIT, UNIT)),
    "beta": (lambda x: Beta((0.5 * x[:, :2]).exp(), UNIT), Beta(UNIT, UNIT)),
    "dirichlet": (lambda x: Dirichlet(x[:, :3].exp()), Dirichlet(torch.ones(3).double())),
    "bernoulli": (lambda x: Bernoulli(logits=x[:, :2]), Bernoulli(0.5 * UNIT)),
    "mixture": (mixture, PRIOR),
    "transformed": (
        lambda x: TransformedDistribution(Normal(0.5 * x[:, :2], 0.8 * UNIT), [TanhTransform()]),
        Uniform(-UNIT, UNIT),
    ),
    "flow": (FLOW, PRIOR),
    "flow prior": (lambda x: Normal(0.5 * x[:, :2], 0.8 * UNIT), FREE),
}


@pytest.mark.parametrize("kind", KINDS)
def test_any_distribution_serves(kind: str) -> None:
    """KL by 400 draws of each example and MI from all pairs, within 5 standard errors of either; MI <= KL, as shown."""
    encode, prior = KINDS[kind]
    x = normal(120, 4, key="any")
    report = diagnose(
        encode=encode,
        log_likelihood=lambda x, z: -0.5 * z.flatten(2).square().sum(-1) if z.ndim > 2 else -0.5 * z.square(),
        prior=prior,
        data=x,
        batch_size=50,
        samples=30,
    )
    q, p = encode(x), prior() if kind == "flow prior" else prior
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        z = q.sample((400,))

        def density(d, z: torch.Tensor) -> torch.Tensor:
            value = d.log_prob(z)
            return value.flatten(2).sum(-1) if value.ndim > 2 else value

        ratio = density(q, z) - density(p, z)
        pairs = density(q, z[0].unsqueeze(1).expand(120, *z.shape[1:]))
    spread = float(ratio.std(0).square().mean().sqrt()) / 120**0.5
    # KL of the same examples: what differs is the draws
    assert abs(report.kl.estimate - float(ratio.mean())) < 5 * spread * (1 / 20 + 1 / 30**0.5) + 1e-9
    information = pairs.diagonal() - pairs.logsumexp(1) + log(120)
    assert abs(report.mi.estimate - float(information.mean())) < 5 * (
        report.mi.error + float(information.std()) / 120**0.5
    )
    assert 0 <= report.mi.value <= report.kl.value
    assert report.ll is not None
    assert report.elbo is not None
    assert report.ll.value >= report.elbo.value
    if report.kl_by_dimension is not None and kind not in ("multivariate", "mixture", "flow", "multivariate prior"):
        total = sum(one.estimate for one in report.kl_by_dimension)
        assert total <= report.kl.estimate + 5 * report.kl.error
        if not report.kl_by_dimension[0].bound:
            assert total == pytest.approx(report.kl.estimate)


def test_draws_of_a_part_of_a_large_set(monkeypatch) -> None:
    """The aggregate is the whole set's; 100 rows of 3000, and what their KL tells narrows the answer."""
    import lid_vae.diagnosis.information as information

    x = normal(3000, 4)
    whole = diagnose(encode=known, prior=PRIOR, data=x)
    monkeypatch.setattr(information, "PAIRS", 600_000)
    part = diagnose(encode=known, prior=PRIOR, data=x)
    assert part.mi.examples == 200
    assert part.first.aggregate == 3000
    assert "200 examples, q(z) of 3,000" in part.mi.how
    assert abs(part.mi.estimate - whole.mi.estimate) < 5 * part.mi.error
    monkeypatch.setattr(information, "LARGEST", 200_000)
    thin = diagnose(encode=known, prior=PRIOR, data=x, batch_size=100)
    assert 100 < thin.first.aggregate < 3000
    assert thin.examples == 3000
    assert abs(thin.mi.estimate - whole.mi.estimate) < 5 * thin.mi.error + 0.1


def test_pairs_by_product_and_one_by_one_agree() -> None:
    """A Gaussian as an exponential family, and as a mixture of one, which no product of matrices serves."""
    x = normal(200, 4)

    def alone(x: torch.Tensor) -> MixtureSameFamily:
        q = known(x)
        parts = Independent(Normal(q.loc.unsqueeze(1), q.scale.unsqueeze(1)), 1)
        return MixtureSameFamily(Categorical(torch.ones(len(x), 1).double()), parts)

    first, second = (diagnose(encode=encode, prior=PRIOR, data=x) for encode in (known, alone))
    assert first.kl.how == "closed form"
    assert second.kl.how == "Monte Carlo"
    assert abs(first.mi.estimate - second.mi.estimate) < 4 * (first.mi.error + second.mi.error)
    assert abs(first.kl.estimate - second.kl.estimate) < 4 * second.kl.error


def test_repeats_leave_the_random_numbers_of_the_caller_alone() -> None:
    x = normal(50, 4)
    torch.manual_seed(3)
    before = torch.get_rng_state()
    first = diagnose(encode=known, prior=PRIOR, data=x)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(4)
    assert diagnose(encode=known, prior=PRIOR, data=x) == first
    assert diagnose(encode=known, prior=PRIOR, data=x, seed=1).mi != first.mi
