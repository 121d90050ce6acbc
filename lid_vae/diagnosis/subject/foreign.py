"""Any VAE, given as three functions: encode(x) -> q(z | x), log_likelihood(x, z) -> log p(x | z), and the prior."""

from collections.abc import Callable, Iterator

import torch
from torch import nn
from torch.distributions import Categorical, Distribution, OneHotCategorical

from lid_vae.diagnosis.seeded import seeded
from lid_vae.diagnosis.subject.base import REFUSALS, About, GenericDraws, LatentBatch, Seen, Subject
from lid_vae.diagnosis.subject.divergence import (
    check_scale,
    closed_form,
    closed_mean,
    exponential_draws,
    is_categorical,
    log_density,
    marginal,
    real_or_positive,
    scale_words,
)
from lid_vae.errors import UserError
from lid_vae.metrics.dimension_kl import dimension_kl
from lid_vae.metrics.log_likelihood import LogMeanExp
from lid_vae.metrics.running_mean import RunningMean
from lid_vae.noise import derive_seed
from lid_vae.shapes import Float, Tensor

__all__ = ["Encode", "Foreign", "LogLikelihood", "Prior"]

Encode = Callable[[Tensor], Distribution]
"""x [B, ...] -> q(z | x), the batch first."""
LogLikelihood = Callable[[Tensor, Tensor], Tensor]
"""(x [B, ...], z [S, B, ...]) -> log p(x | z) [S, B], nats."""
Prior = Distribution | Callable[[], Distribution]

# Rows of the decoder at once.
ROWS = 10_000
# Draws for each example that the divergences of single dimensions need, where they have no closed form.
MOMENT_DRAWS = 20
# Draws from a prior whose variance has no closed form.
PRIOR_DRAWS = 10_000


class Foreign(Subject):
    """A VAE of another make, or none: functions and distributions.

    Args:
        encode: x [B, ...] -> q(z | x), a ``torch.distributions`` or zuko distribution whose first axis is the batch.
        log_likelihood: (x, z [S, B, ...]) -> log p(x | z) [S, B], nats; None: likelihood and ELBO are left out.
        prior: p(z), a distribution of one latent, or a function that returns it (a zuko flow).
        samples: S, draws of q for each example, two at the least.
        seed: of the draws.
        name: what the report calls the model.

    Raises ``UserError`` for whatever does not fit, from ``see``, in words.
    """

    likelihood_words = "importance sampling"

    def __init__(
        self,
        encode: Encode,
        log_likelihood: LogLikelihood | None,
        prior: Prior,
        samples: int,
        seed: int = 0,
        name: str = "a VAE",
    ) -> None:
        self.encode, self.log_likelihood, self.samples, self.seed, self.name = (
            encode,
            log_likelihood,
            samples,
            seed,
            name,
        )
        self.likelihood_samples: int | None = samples
        with torch.no_grad():
            found = prior() if callable(prior) and not isinstance(prior, Distribution) else prior
        if not isinstance(found, Distribution):
            raise UserError(
                f"The prior must be a distribution, such as Normal(0, 1), or a function that returns one; it is a "
                f"{type(found).__name__}."
            )
        self.prior: Distribution = found
        self.about: dict[str, About] = {}

    @torch.no_grad()
    def see(self, x: Tensor, number: int) -> Seen:
        """What ``x``, batch ``number``, shows, by ``samples`` draws that number and seed determine."""
        with seeded(derive_seed("encode", self.seed, number), x.device):
            q = self._posterior(x)
        # anew, as an encoder that is part of a whole VAE may have drawn
        with seeded(derive_seed("diagnose", self.seed, number), x.device):
            return self._categorical(x, q) if is_categorical(q) else self._continuous(x, q)

    def _posterior(self, x: Tensor) -> Distribution:
        try:
            q = self.encode(x)
        except UserError:
            raise
        except REFUSALS as error:
            if "parameter scale" in str(error) or "GreaterThan(lower_bound=0.0)" in str(error):
                raise UserError(f"{scale_words(-1.0).replace('of -1', 'that is not above zero')} ({error})") from error
            raise UserError(
                f"encode refuses a batch of shape {list(x.shape)} and type {x.dtype}: {error}. Give data as the "
                "encoder takes them, the batch first."
            ) from error
        if not isinstance(q, Distribution):
            raise UserError(
                "encode must return a distribution, such as Normal(mean, std), and returned a "
                f"{type(q).__name__}. Write encode=lambda x: Normal(mean(x), std(x))."
            )
        shape = q.batch_shape + q.event_shape
        if not shape or shape[0] != len(x):
            raise UserError(
                f"encode returned a distribution of shape {list(shape)} for a batch of {len(x)}: its first axis must "
                "be the batch."
            )
        check_scale(q)
        return q

    def _continuous(self, x: Tensor, q: Distribution) -> Seen:
        size = q.batch_shape + q.event_shape
        event = size[1:]
        if "z" not in self.about:
            self._check_prior(event)
        exact, mean = closed_form(q, self.prior, event), closed_mean(q, size)
        sides = None if exact is not None and exact[1] is not None else marginal(self.prior, event)
        own = None if sides is None else marginal(q, event)
        each = exact[1] if exact is not None else None
        if each is None and own is not None and sides is not None:
            alone = closed_form(own, sides, event)
            each = None if alone is None else alone[1]
        sample_moments = each is None and sides is not None and real_or_positive(sides) is not None
        evidence, bound, divergence, moments = LogMeanExp(), RunningMean(), RunningMean(), RunningMean()
        halves = (RunningMean(), RunningMean())
        needs = self.samples
        if self.log_likelihood is None and exact is not None and mean is not None:
            needs = 2 if not sample_moments else MOMENT_DRAWS
        for half, z, log_q in self._draws(q, len(x), needs):
            log_p = log_density(self.prior, z)
            _check_pairs(log_p, z, "The prior's log_prob")
            divergence.add(log_q - log_p)
            if self.log_likelihood is not None:
                log_x = self._likelihood(x, z)
                evidence.add(log_x.double() + log_p - log_q)
                bound.add(log_x.double() + log_p - log_q)
            if mean is None:
                halves[half].add(z)
            if sample_moments and sides is not None and moments.count < MOMENT_DRAWS:
                value = z.double().reshape(*z.shape[:2], -1)
                log_side = sides.log_prob(z).double().expand(z.shape).reshape(value.shape)
                if real_or_positive(sides) == "positive":  # a bijection leaves the divergence alone
                    value, log_side = value.log(), log_side + value.log()
                moments.add(torch.stack([value, value.square(), log_side], 1))
        if sample_moments:
            first, second, log_side = moments.result()
            each = dimension_kl(first, second, log_side, moments.count)
        means = tuple(half.result() for half in halves) if mean is None else (mean, mean)
        draws = exponential_draws(q, z[-1]) or GenericDraws(z[-1], q, log_density)
        self._tell(exact is not None, mean is not None, each is not None, sample_moments, needs, moments.count)
        return Seen(
            {
                "z": LatentBatch(
                    kl=divergence.result() if exact is None else exact[0],
                    mean=(means[0].reshape(len(x), -1), means[1].reshape(len(x), -1)),
                    kl_by_dimension=each,
                    draws=draws,
                    surplus=None if exact is None else (log_q - log_p)[-1].double() - exact[0],
                )
            },
            None if self.log_likelihood is None else evidence.result(),
            None if self.log_likelihood is None else bound.result(),
        )

    def _draws(self, q: Distribution, batch: int, samples: int) -> Iterator[tuple[int, Tensor, Tensor]]:
        """(half, z [S, B, ...], log q(z | x) [S, B]), in pieces of bounded memory."""
        at_once = max(1, ROWS // batch)
        for half, size in enumerate((samples - samples // 2, samples // 2)):
            for piece in _pieces(size, at_once, batch):
                if hasattr(q, "rsample_and_log_prob"):  # zuko: one pass of the flow in place of two
                    z, log_q = q.rsample_and_log_prob(torch.Size([piece]))
                    log_q = log_q.flatten(2).sum(-1) if log_q.ndim > 2 else log_q
                else:
                    z = q.sample(torch.Size([piece]))
                    log_q = log_density(q, z)
                _check_pairs(log_q, z, "The log_prob of encode(x)")
                yield half, z, log_q.double()

    def _categorical(self, x: Tensor, q: Categorical | OneHotCategorical) -> Seen:
        if len(q.batch_shape) != 1:
            raise UserError(
                f"encode returned {list(q.batch_shape[1:])} categorical variables for each example; one is summed "
                "exactly. Several would need a sum over all their combinations: make them one variable."
            )
        probability = q.probs.double()
        categories = probability.shape[-1]
        if not is_categorical(self.prior) or self.prior.probs.shape[-1] != categories:
            raise UserError(
                f"q(z | x) is a {type(q).__name__} of {categories} categories and the prior a "
                f"{type(self.prior).__name__} of shape {list(self.prior.batch_shape + self.prior.event_shape)}. Take a "
                f"categorical prior of {categories} categories, such as Categorical(torch.ones({categories}))."
            )
        prior = self.prior.probs.double().reshape(-1)[-categories:]
        log_q, log_p = probability.clamp_min(1e-300).log(), prior.log()
        kl = (probability * (log_q - log_p)).sum(-1)
        evidence = bound = None
        if self.log_likelihood is not None:
            values = []
            for first in range(0, categories, step := max(1, ROWS // len(x))):
                index = torch.arange(first, min(first + step, categories), device=x.device)
                z = index.unsqueeze(-1).expand(-1, len(x))
                if not isinstance(q, Categorical):
                    z = nn.functional.one_hot(z, categories).to(q.probs.dtype)
                values.append(self._likelihood(x, z).double())
            log_x = torch.cat(values).mT
            evidence = torch.logsumexp(log_x + log_p, -1)
            # a category that q leaves out counts for nothing, however impossible it makes x
            bound = torch.where(probability > 0, probability * (log_x + log_p - log_q), 0.0).sum(-1)
        if "z" not in self.about:
            summed = f"sum over {categories} categories"
            self.likelihood_samples, self.likelihood_words = None, summed
            self.about["z"] = About("categorical", prior * (1 - prior), prior, words=dict.fromkeys(WORDS, summed))
        return Seen({"z": LatentBatch(kl, (probability, probability), category=probability[None])}, evidence, bound)

    def _likelihood(self, x: Tensor, z: Tensor) -> Float[Tensor, "S B"]:
        assert self.log_likelihood is not None
        try:
            value = self.log_likelihood(x, z)
        except UserError:
            raise
        except REFUSALS as error:
            raise UserError(
                f"log_likelihood refuses x of shape {list(x.shape)} with z of shape {list(z.shape)} (draws, batch, "
                f"latent): {error}. It must take all draws at once; a decoder that wants one leading axis gets "
                "z.flatten(0, 1)."
            ) from error
        wanted = list(z.shape[:2])
        if not isinstance(value, Tensor) or list(value.shape) != wanted:
            found = list(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise UserError(f"log_likelihood must return log p(x | z) of shape {wanted}, {_shape_words(found, wanted)}")
        if bool(value.isnan().any()) or bool((value == torch.inf).any()):
            raise UserError("log_likelihood returned NaN or infinity: look at the decoder's output and at its scale.")
        return value

    def _check_prior(self, event: torch.Size) -> None:
        shape = self.prior.batch_shape + self.prior.event_shape
        try:
            fits = torch.broadcast_shapes(shape, event) == event
        except RuntimeError:
            fits = False
        if is_categorical(self.prior) or not fits:
            raise UserError(
                f"q(z | x) has latents of shape {list(event)} and the prior, {type(self.prior).__name__}, of shape "
                f"{list(shape)}; they must agree. Normal(0, 1) serves every shape."
            )
        try:
            variance: Tensor | None = self.prior.variance
        except (NotImplementedError, AttributeError):
            variance = None
        if variance is None or not bool(variance.isfinite().all()):
            variance = self.prior.sample(torch.Size([PRIOR_DRAWS])).double().var(0)
        self.about["z"] = About("continuous", variance.double().expand(event).reshape(-1).clone())

    def _tell(self, kl: bool, mean: bool, each: bool, sampled: bool, needs: int, moments: int) -> None:
        about = self.about["z"]
        about.kl_samples, about.mean_samples = None if kl else needs, None if mean else needs
        about.dimension_samples, about.dimension_bounds = (moments if sampled else None), sampled
        about.words |= {
            "kl": "closed form" if kl else "Monte Carlo",
            "au": "exact means" if mean else "covariance of independent halves of the draws",
            "kl_by_dimension": "lower bound" if sampled else "closed form",
        }


WORDS = ("kl", "au", "mi")


def _pieces(total: int, size: int, batch: int) -> Iterator[int]:
    """Draws at once; never as many as examples, which would hide a log_likelihood with its axes in the wrong order."""
    for start in range(0, total, size):
        piece = min(size, total - start)
        yield from (piece - 1, 1) if piece == batch > 1 else (piece,)


def _check_pairs(value: Tensor, z: Tensor, what: str) -> None:
    if value.shape != z.shape[:2]:
        raise UserError(
            f"{what} has shape {list(value.shape)} for draws of shape {list(z.shape)}, not {list(z.shape[:2])} (draws, "
            "batch): its axes do not fit the latent's."
        )
    if bool(value.isnan().any()):
        raise UserError(f"{what} is NaN at draws of q(z | x): look at scales and at the support of the prior.")


def _shape_words(found: list[int] | str, wanted: list[int]) -> str:
    """What a wrong shape probably means."""
    if isinstance(found, str):
        return f"and returned a {found}."
    if found == wanted[1:]:
        return f"and its shape is {found}, one value for each example: keep the axis of the draws of z, the first one."
    if found[:2] == wanted:
        return f"and its shape is {found}: sum over the dimensions of x, .sum(-1), as a log-likelihood is of all of x."
    if found == wanted[::-1]:
        return f"and its shape is {found}: the draws come first, then the batch."
    return f"and its shape is {found} (draws first, then the batch)."
