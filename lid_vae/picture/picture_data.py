"""A look at a trained model for its pictures: draws, reconstructions and posterior probabilities, as NumPy arrays."""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F

from lid_vae.data.base import DataModule, Part
from lid_vae.distribution.approximation import Approximation, LatentSample
from lid_vae.distribution.latent import LatentDistribution, Mixture
from lid_vae.likelihood.base import VectorLikelihood
from lid_vae.noise import generator
from lid_vae.picture.pictured import PictureData, Vectors
from lid_vae.shapes import Float, Int, Tensor
from lid_vae.symbols import PADDING
from lid_vae.train.display_name import display_name
from lid_vae.train.posterior_mean import average
from lid_vae.train.vae_module import VAEModule

__all__ = ["take_picture_data"]

Array = np.ndarray
DRAWS = 16
IMAGES = 100
COMPONENT_DRAWS = 256


def take_picture_data(module: VAEModule, data: DataModule, split: Part, examples: int) -> PictureData:
    """Looks at ``examples`` rows of a ``split`` of ``data``, chosen by a key, by the model in ``module``.

    Its noise is keyed: no generator of the run advances.
    """
    x, y = _rows(data, split, examples)
    rng = generator("pictured", device=x.device)
    vae = module.vae
    q = module.infer(x, vae.posterior.draw_noise(module.objective.samples, len(x), rng))
    with torch.no_grad():
        prior = vae.prior()
        sample = q.sample(vae.posterior.draw_noise(DRAWS, len(x), rng))
        w_BM = _choose(q, sample, rng)
        mean_2BM = torch.stack([average(q, sample.w[half::2]) for half in (0, 1)])
        probability = vae.category_probability(q, sample, prior)
        prior_NM, category = _prior_draws(prior, len(x), rng)
        vectors = _vectors(module, data.image_shape, x, w_BM, prior, prior_NM, category, rng)
        return PictureData(
            title=f"{display_name(module)} on {data.name}, step {module.step}, {len(x)} examples ({split})",
            support=prior.support,
            label_B=None if y is None else _array(y),
            label_count=data.label_count or 0,
            u_BM=_array(mean_2BM.mean(0) if prior.support == "binary" else _shown(w_BM, prior)),
            prior_NM=_array(_shown(prior_NM, prior)),
            activity_M=_array(_activity(mean_2BM) / prior.variance),
            category_BK=None if probability is None else _array(probability.mean(0)),
            mixing_K=_array(prior.log_mixing.exp()) if isinstance(prior, Mixture) else None,
            centre_KM=_array(_centres(prior, rng)) if isinstance(prior, Mixture) else None,
            vectors=vectors,
            grid=_grid(prior, _shown(torch.cat([w_BM, prior_NM]), prior)),
        )


def _rows(data: DataModule, split: Part, count: int) -> tuple[Tensor, Tensor | None]:
    """Rows spread over the whole split, which may be sorted, in an order of their own."""
    batches = list(data.batches(split))
    longest = max(batch.x.shape[1] for batch in batches)
    x = torch.cat([F.pad(batch.x, (0, longest - batch.x.shape[1]), value=PADDING) for batch in batches])
    labels = [batch.y for batch in batches if batch.y is not None]
    chosen = torch.randperm(len(x), generator=generator("pictured", "rows"))[:count].to(x.device)
    return x[chosen], torch.cat(labels)[chosen] if labels else None


def _choose(q: Approximation, sample: LatentSample, rng: torch.Generator) -> Float[Tensor, "B M"]:
    """One draw of q(w | x): where categories are enumerated, of the mixture."""
    w_KBM = sample.w[0]
    if q.log_category is None:
        return w_KBM[0]
    category = torch.multinomial(q.log_category.exp().mT, 1, generator=rng).squeeze(-1)
    return w_KBM[category, torch.arange(len(category), device=category.device)]


def _activity(mean: Float[Tensor, "2 B M"]) -> Float[Tensor, " M"]:
    """Variance of the exact posterior mean: the covariance of two independent estimates, as in ``ActiveUnits``."""
    first, second = mean - mean.mean(1, keepdim=True)
    return (first * second).mean(0).clamp_min(0)


def _prior_draws(
    prior: LatentDistribution, count: int, rng: torch.Generator
) -> tuple[Float[Tensor, "N M"], Int[Tensor, " N"] | None]:
    return prior.sample_with_category(count, rng) if isinstance(prior, Mixture) else (prior.sample(count, rng), None)


def _shown(w: Tensor, prior: LatentDistribution) -> Tensor:
    return w.log() if prior.support == "positive" else w


def _vectors(
    module: VAEModule,
    image_shape: tuple[int, ...] | None,
    x: Tensor,
    w: Float[Tensor, "B M"],
    prior: LatentDistribution,
    prior_w: Float[Tensor, "N M"],
    category: Int[Tensor, " N"] | None,
    rng: torch.Generator,
) -> Vectors | None:
    likelihood = module.vae.likelihood
    if not isinstance(likelihood, VectorLikelihood):
        return None
    reconstruction = likelihood(w[:IMAGES]).mean
    # Points are drawn from p(x | w); of images the mean is shown, as is the custom.
    sample = likelihood(prior_w).sample(rng) if image_shape is None else likelihood(prior_w[:IMAGES]).mean
    return Vectors(
        image_shape=image_shape,
        x_BD=_array(x),
        reconstruction_RD=_array(reconstruction),
        sample_ND=_array(sample),
        sample_category_N=None if category is None else _array(category),
        decoded_KD=_array(_decoded(likelihood, prior, rng)) if isinstance(prior, Mixture) else None,
    )


def _centres(prior: Mixture, rng: torch.Generator) -> Float[Tensor, "K M"]:
    """The mean of u in each category; of log w, which has no common formula, over draws."""
    return _over_draws(torch.log, prior, rng) if prior.support == "positive" else prior.components.mean


def _decoded(likelihood: VectorLikelihood, prior: Mixture, rng: torch.Generator) -> Float[Tensor, "K D"]:
    """The decoder's mean at each category's mean of w; for binary w, which has no such point, its mean over draws."""
    if prior.support == "binary":
        return _over_draws(lambda w: likelihood(w).mean, prior, rng)
    return likelihood(prior.components.mean).mean


def _over_draws(value: Callable[[Tensor], Tensor], prior: Mixture, rng: torch.Generator) -> Float[Tensor, "K D"]:
    """The mean of ``value`` in each category."""
    category = torch.arange(len(prior.log_mixing), device=prior.mean.device).repeat_interleave(COMPONENT_DRAWS)
    return value(prior.components.sample(category, rng)).unflatten(0, (-1, COMPONENT_DRAWS)).mean(1)


def _grid(prior: LatentDistribution, u: Float[Tensor, "N M"], size: int = 120) -> tuple[Array, Array, Array] | None:
    if u.shape[1] != 2 or prior.support == "binary":
        return None
    low, high = u.quantile(0.003, 0), u.quantile(0.997, 0)
    margin = 0.3 * (high - low)
    ends = torch.stack([low - margin, high + margin], 1).tolist()
    axes = [torch.linspace(a, b, size, device=u.device) for a, b in ends]
    points = torch.stack(torch.meshgrid(*axes, indexing="xy"), -1)
    w, log_volume = (points.exp(), points.sum(-1)) if prior.support == "positive" else (points, 0.0)
    if isinstance(prior, Mixture):
        density = prior.components.log_prob(w).movedim(-1, 0) + log_volume
    else:
        density = (prior.log_prob(w) + log_volume).unsqueeze(0)
    return _array(axes[0]), _array(axes[1]), _array(density)


def _array(value: Tensor) -> Array:
    return value.detach().cpu().numpy()
