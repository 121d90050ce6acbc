"""Gradients through draws that carry none: the score function with a leave-one-out baseline."""

from lid_vae.errors import UserError
from lid_vae.shapes import Float, Tensor
from lid_vae.vae import LogTerms

__all__ = ["with_score_gradient"]


def with_score_gradient(
    value: Float[Tensor, "S B"], reward: Float[Tensor, "S K B"], terms: LogTerms
) -> Float[Tensor, "S B"]:
    """``value`` unchanged as a number, with the gradient that REINFORCE with a leave-one-out baseline adds.

    ``reward`` is what ``value`` averages over the categories: log p(x | w) - beta (log q - log p) of each draw;
    ``terms`` hold the log-density of q there. The baseline of each draw is the mean of the others (Kool, van Hoof and
    Welling 2019), so two are needed. With enumerated categories each category's draws have a baseline of their own,
    weighted by q(z | x). Raises ``UserError`` for a single sample.
    """
    samples = value.shape[0]
    if samples < 2:
        raise UserError(
            "A Bernoulli latent has no reparametrised gradient, and its leave-one-out estimator needs at least two "
            "samples. Use samples=4."
        )
    reward = reward.detach()
    baseline = (reward.sum(0) - reward) / (samples - 1)
    log_prob = terms.sample.log_prob
    surrogate = (reward - baseline) * (log_prob - log_prob.detach())
    if terms.log_category is None:
        return value + surrogate.squeeze(1)
    return value + (terms.log_category.exp().detach() * surrogate).sum(1)
