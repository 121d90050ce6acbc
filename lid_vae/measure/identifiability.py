"""Identifiability: what is certified of z -> p(w | z) -> p(x | z), and the closest outputs that a search finds."""

from collections.abc import Sequence
from functools import partial
from itertools import islice
from math import isfinite
from typing import Any, Literal, Protocol, runtime_checkable

import torch

from lid_vae.distribution.approximation import Approximation
from lid_vae.distribution.latent import LatentDistribution, Mixture
from lid_vae.errors import UserError
from lid_vae.likelihood.gaussian import GaussianObservation
from lid_vae.map.base import InjectiveMap
from lid_vae.measure.base import SplitMeasure, Subject
from lid_vae.measure.batch import noise_of
from lid_vae.measure.closeness import (
    Outputs,
    box_of,
    closest_pairs,
    component_divergences,
    flattest_directions,
    mean_distance,
    outputs_of,
)
from lid_vae.noise import generator
from lid_vae.prior.component_code import ComponentCode
from lid_vae.shapes import Float, Tensor
from lid_vae.vae import Autoencoder

__all__ = ["Identifiability", "identifiability"]

Known = Literal["certified", "theorem", "measured", "probe"]
RADII = (0.1, 0.5, 2.0)
# Where latents are looked for, in standard deviations of the prior to either side of its mean.
WITHIN = 3.0
DRAWS = 500
BINARY = (
    "Closest outputs are looked for along a gradient, and the w of this model is binary. Use a real or a positive w "
    "(prior.component=gaussian, log_normal or gamma)."
)


class Identifiability(SplitMeasure):
    """``identifiability`` of a model, with half of the starts at posterior means of a split's examples.

    Args:
        radii, starts, steps, seed: those of ``identifiability``.

    Raises:
        UserError: for settings out of range.

    >>> Identifiability(radii=(1.0,), starts=10).starts
    10
    """

    def __init__(self, radii: Sequence[float] = RADII, starts: int = 64, steps: int = 100, seed: int = 0) -> None:
        _check(radii, starts, steps)
        self.radii, self.starts, self.steps, self.seed = tuple(radii), starts, steps, seed

    def measure(self, subject: Subject) -> dict[str, Any]:
        """See ``identifiability``.

        Args:
            subject: the model, and the split whose first examples give posterior means.
        """
        means = None if subject.vae.prior.support == "binary" else self._means(subject)
        return identifiability(
            subject.vae, means, radii=self.radii, starts=self.starts, steps=self.steps, seed=self.seed
        )

    @torch.no_grad()
    def _means(self, subject: Subject) -> Float[Tensor, "S M"]:
        """Posterior means of the first examples, half as many as there are starts."""
        wanted, found = self.starts // 2, []
        for number, batch in enumerate(islice(subject.batches(), max(wanted, 1))):
            x = batch.x[:wanted]
            noise = noise_of(number, x.device)
            q = subject.infer(x, subject.vae.posterior.draw_noise(subject.inference_samples, len(x), noise.inference))
            found.append(_mean(q, partial(subject.vae.posterior.draw_noise, 32, len(x), noise.draws)))
            wanted -= len(x)
            if wanted <= 0:
                break
        return torch.cat(found)


@runtime_checkable
class Holder(Protocol):
    """A module that holds an ``Autoencoder``, as the model classes do."""

    vae: Autoencoder


def identifiability(
    vae: Autoencoder | Holder,
    means: Float[Tensor, "N M"] | None = None,
    *,
    radii: Sequence[float] = RADII,
    starts: int = 64,
    steps: int = 100,
    seed: int = 0,
) -> dict[str, Any]:
    """What is known of z -> p(w | z), w -> p(x | w) and z -> p(x | z), and how close a search brings outputs.

    Over pairs of latents at a distance |a - b| the ratio |g(a) - g(b)| / |a - b| is minimised, g the decoder's map, and
    KL(p(x | a) || p(x | b)) where it has a closed form, by gradient, from draws of the prior and posterior means, with
    directions half random and half those in which g moves least. The latents stay within three standard deviations of
    the prior's mean, or where they start. A certified constant m is a floor that no pair falls below; for any other map
    what the search finds is an upper bound of the least ratio and proves nothing, unless it is 0. Of sequences g gives
    the logits of the first symbol after an empty history, less that of the reference symbol.

    Args:
        vae: the model, of any prior and map, or a module that holds it; nothing of it is changed.
        means: posterior means to start from, beside draws of the prior; None: from the prior alone.
        radii: distances of latents, in standard deviations of the prior (the root mean square over dimensions).
        starts: how many pairs start at each distance.
        steps: of the optimiser for each pair.
        seed: of draws and directions; equal seeds give equal numbers.

    Returns:
        ``arrows``: of each arrow ``known``: "certified" (for every parameter value), "theorem" (with Gaussian noise, if
        the two arrows before it are injective), "measured" (at these parameters) or "probe" (nothing is proved), with
        its constants: ``constant`` m and in what it ``holds_for`` ("w", "w for every history" or "w and history");
        ``separation``, the smallest distance of two components' parameters, and ``kl``, the smallest KL between two,
        nats; ``mean_square``, the smallest |E[x | z = j] - E[x | z = k]|^2 from 500 draws, with ``mean_square_se``.
        ``z_to_w`` is None where w = z. ``certified``, ``ratio`` and ``kl``: the constant m (None: there is none), and
        the smallest found at any distance. ``search``: of each radius its ``distance`` in w, ``ratio``, ``ratio_floor``
        (m), ``kl`` and ``kl_floor`` (with Gaussian noise sigma m^2 |a - b|^2 / (2 sigma^2)), nats. ``refused``: why
        there is no search (binary w), else None. ``starts``, ``steps`` and ``seed`` as given. Plain numbers and words.

    Raises:
        UserError: for settings out of range, or a likelihood of sequences that is not autoregressive.

    The constants: Kinoshita et al. (2023), inverse Lipschitz; the theorem: Wang et al. (2021), proposition 3.

    >>> from lid_vae.likelihood import GaussianLikelihood
    >>> from lid_vae.map import LinearMap
    >>> from lid_vae.posterior import AmortizedPosterior, MLPEncoder
    >>> from lid_vae.prior import StandardNormalPrior
    >>> posterior = AmortizedPosterior(MLPEncoder((3,), 8), 2)
    >>> vae = Autoencoder(StandardNormalPrior(2), GaussianLikelihood(LinearMap(2, 3)), posterior)
    >>> found = identifiability(vae, starts=8, steps=20)
    >>> least = torch.linalg.svdvals(vae.likelihood.map.layer.weight.detach())[-1]
    >>> found["arrows"].get("z_to_x").get("known"), abs(found["ratio"] - float(least)) < 1e-3
    ('probe', True)
    """
    vae = vae if isinstance(vae, Autoencoder) else vae.vae
    _check(radii, starts, steps)
    rng = generator("identifiability", seed, device=_device(vae))
    outputs = outputs_of(vae.likelihood)
    with torch.no_grad():
        prior = vae.prior()
    arrows = _arrows(vae, prior, outputs, rng)
    constant: float | None = arrows["w_to_x"]["constant"]
    found: dict[str, Any] = {"arrows": arrows, "certified": constant, "ratio": None, "kl": None, "search": []}
    binary = prior.support == "binary"
    if not binary:
        found["search"] = _search(prior, outputs, means, constant, rng, tuple(radii), starts, steps)
        found["ratio"] = min(one["ratio"] for one in found["search"])
        if outputs.divergence is not None:
            found["kl"] = min(one["kl"] for one in found["search"])
    return {**found, "refused": BINARY if binary else None, "starts": starts, "steps": steps, "seed": seed}


def _search(
    prior: LatentDistribution,
    outputs: Outputs,
    means: Float[Tensor, "N M"] | None,
    constant: float | None,
    rng: torch.Generator,
    radii: tuple[float, ...],
    starts: int,
    steps: int,
) -> list[dict[str, float | None]]:
    """The smallest ratio and KL of each radius."""
    given = prior.mean.new_zeros(0, len(prior.mean)) if means is None else means.to(prior.mean)[: starts // 2]
    with torch.no_grad():
        middle = torch.cat([given.detach(), prior.sample(starts - len(given), rng)]).double()
    box = box_of(prior, middle, WITHIN)
    direction = torch.randn(middle.shape, generator=rng, dtype=middle.dtype, device=middle.device)
    direction[::2] = flattest_directions(outputs.values, middle[::2], box.unit)
    distances = torch.tensor(radii, dtype=torch.float64, device=middle.device) * box.unit

    def square(first: Tensor, second: Tensor) -> Tensor:
        return (outputs.values(first) - outputs.values(second)).square().sum(-1)

    def divergence(first: Tensor, second: Tensor) -> Tensor:
        assert outputs.divergence is not None
        return outputs.divergence(outputs.values(first), outputs.values(second))

    def least(gap: Any) -> list[float]:
        first, second = closest_pairs(gap, middle, direction, distances, box, steps)
        with torch.no_grad():
            return [float(gap(a, b).min()) for a, b in zip(first, second, strict=True)]

    scale = getattr(outputs.divergence, "scale", None)  # of Gaussian noise, under which the two searches are one
    squares = least(square)
    rows: list[dict[str, float | None]] = []
    for number, distance in enumerate(distances.tolist()):
        ratio = squares[number] ** 0.5 / distance
        rows.append({"radius": radii[number], "distance": distance, "ratio": ratio, "ratio_floor": constant})
        rows[-1]["kl"], rows[-1]["kl_floor"] = None, None
        if scale is not None:
            rows[-1]["kl"] = squares[number] / (2 * float(scale) ** 2)
            rows[-1]["kl_floor"] = None if constant is None else (constant * distance / float(scale)) ** 2 / 2
    if outputs.divergence is not None and scale is None:
        for row, kl in zip(rows, least(divergence), strict=True):
            row["kl"] = kl
    return rows


def _arrows(vae: Autoencoder, prior: LatentDistribution, outputs: Outputs, rng: torch.Generator) -> dict[str, Any]:
    """What is known of each, by its name."""
    map_, injective = outputs.likelihood.map, vae.likelihood.identifiable
    w_to_x: dict[str, Any] = {"known": "probe", "constant": None, "holds_for": None}
    if injective and isinstance(map_, InjectiveMap):
        w_to_x = {"known": "certified", "constant": map_.certificate(), "holds_for": _holds_for(vae, map_)}
    if not isinstance(prior, Mixture):
        return {"z_to_w": None, "w_to_x": w_to_x, "z_to_x": {"known": w_to_x["known"]}}
    separation = vae.prior.separation()
    regular = isinstance(code := getattr(vae.prior, "code", None), ComponentCode) and code.kind == "regular"
    divergences = component_divergences(prior.components)
    kl = None
    if divergences is not None and len(divergences) > 1:
        kl = float(divergences[~torch.eye(len(divergences), dtype=torch.bool, device=divergences.device)].min())
    apart = separation if separation is not None and isfinite(separation) else None
    z_to_w = {"known": "certified" if regular else "measured", "separation": apart, "kl": kl}
    with torch.no_grad():
        observed = None if vae.likelihood.symbols else outputs.likelihood(prior.mean[None].double())
    theorem = isinstance(observed, GaussianObservation) and injective and bool(separation)
    z_to_x: dict[str, Any] = {"known": "theorem" if theorem else "probe", "mean_square": None, "mean_square_se": None}
    means = mean_distance(outputs.likelihood, prior, DRAWS, rng)
    if means is not None:
        z_to_x["mean_square"], z_to_x["mean_square_se"] = means
    return {"z_to_w": z_to_w, "w_to_x": w_to_x, "z_to_x": z_to_x}


def _holds_for(vae: Autoencoder, map_: InjectiveMap) -> str:
    """Between what the constant bounds distances, in the words of ``certified`` of a result."""
    if vae.likelihood.symbols is None:
        return "w"
    return "w and history" if map_.injective_in(map_.in_features) else "w for every history"


def _mean(q: Approximation, draw_noise: Any) -> Float[Tensor, "B M"]:
    """E_q[w | x]; from draws where it has no closed form."""
    mean = q.expectation()
    mean = q.sample(draw_noise()).w.mean(0) if mean is None else mean
    return mean[0] if q.log_category is None else (q.log_category.exp().unsqueeze(-1) * mean).sum(0)


def _device(vae: Autoencoder) -> torch.device:
    return next(vae.parameters()).device


def _check(radii: Sequence[float], starts: int, steps: int) -> None:
    if not radii or not all(radius > 0 and isfinite(radius) for radius in radii):
        raise UserError(f"Distances of latents are above 0, got radii={list(radii)}. Use radii=[0.1,0.5,2].")
    if starts < 2 or steps < 0:
        raise UserError(
            f"A search needs two starts or more and no negative number of steps, got starts={starts} and "
            f"steps={steps}. Use starts=64 and steps=100."
        )
