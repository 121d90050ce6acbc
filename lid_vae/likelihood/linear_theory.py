"""How many latents a linear VAE keeps at a given noise: the threshold below which collapse is what fits best."""

import torch

from lid_vae.likelihood.base import Likelihood
from lid_vae.likelihood.gaussian import GaussianLikelihood
from lid_vae.shapes import Float, Tensor

__all__ = ["collapse_expected", "covariance_eigenvalues"]

# Rows and columns that the covariance is formed of at most: eigenvalues of a thousand take half a second.
ROWS, COLUMNS = 10_000, 1_000


def covariance_eigenvalues(x: Float[Tensor, "N D"]) -> Float[Tensor, " D"]:
    """Of the covariance of the rows of ``x``, the largest first, in double precision."""
    centred = x.double() - x.double().mean(0)
    return torch.linalg.eigvalsh(centred.mT @ centred / len(x)).flip(0).clamp_min(0)


@torch.no_grad()
def collapse_expected(likelihood: Likelihood, x: Float[Tensor, "N D"]) -> str | None:
    """A line on the latents that a linear VAE would lose at the noise of ``likelihood``; None where it keeps all.

    The likeliest linear model of noise sigma^2 uses the directions in which the data's covariance has eigenvalues above
    sigma^2, and the bound adds no other local maximum (Lucas et al. 2019, "Don't blame the ELBO!"; Dai, Wang and Wipf
    2020): the d-th latent collapses once sigma^2 passes the d-th largest eigenvalue, whatever the inference. No theorem
    for a decoder that is not linear, which may keep more. Of a noise that is learned only its start is known: something
    is said where nothing would be active there.

    Args:
        likelihood: with its noise where training starts it; of another kind than Gaussian nothing is said.
        x: the training set, by its first 10,000 rows; of more than 1,000 dimensions nothing is said.

    Example:
        >>> from lid_vae.likelihood import GaussianLikelihood
        >>> from lid_vae.map import MLP
        >>> fixed = GaussianLikelihood(MLP(1, 2, 4, 1), scale=3.0, learn_scale=False)
        >>> (collapse_expected(fixed, torch.randn(100, 2)) or "")[:44]
        'Collapse is to be expected: a linear VAE kee'
    """
    if not isinstance(likelihood, GaussianLikelihood) or x.shape[1] > COLUMNS:
        return None
    scale, learned = float(likelihood.noise_scale()), likelihood.raw_scale.requires_grad
    eigenvalues = covariance_eigenvalues(x[:ROWS])[: likelihood.latent_dimension]
    active = int((eigenvalues > scale**2).sum())
    if active == len(eigenvalues) or (learned and active > 0):
        return None
    # For all latents, where noise can be as small as that; else for one.
    enough = [float(value) ** 0.5 for value in (eigenvalues[-1], eigenvalues[0])]
    below = next((value for value in enough if value > likelihood.scale_floor), None)
    fixes = [] if below is None else [f"likelihood.scale below {below:.2g}"]
    fixes += [] if learned else ["likelihood.learn_scale=true"]
    where = "where the noise starts at" if learned else "at the fixed noise of"
    return (
        f"Collapse is to be expected: a linear VAE keeps {active} of {len(eigenvalues)} latents {where} variance "
        f"{scale**2:.3g}, as the data's covariance has {active} eigenvalues above it, the largest "
        f"{float(eigenvalues[0]):.3g} (Lucas et al. 2019). Use {' or '.join(fixes) or 'data scaled to vary more'}."
    )
