"""What a user asks of a model: encode, decode, reconstruct, sample, interpolate, likelihoods, a diagnosis, a file."""

from collections.abc import Iterator
from contextlib import contextmanager
from math import log, prod
from os import PathLike
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from lid_vae.data.base import DataModule
from lid_vae.diagnosis import Report, diagnose
from lid_vae.distribution.latent import Mixture
from lid_vae.errors import UserError
from lid_vae.likelihood.autoregressive import AutoregressiveLikelihood
from lid_vae.likelihood.base import VectorObservation
from lid_vae.model.encoded import Encoded, drawing, encoded
from lid_vae.model.form import Form, are_sentences, chunks
from lid_vae.noise import generator
from lid_vae.shapes import Float, Observations, Tensor
from lid_vae.system.checkpoint import AtomicCheckpointIO
from lid_vae.text.decoding import decoder
from lid_vae.train.vae_module import VAEModule

__all__ = ["Asked"]

# Examples at once, and numbers at once where there are several draws of each example.
BATCH, NUMBERS = 1000, 20_000_000


class Asked(VAEModule):
    """The questions that a trained model answers, in evaluation mode and without gradients. Abstract.

    Examples are a tensor or NumPy array with the batch first, of the shape of those trained on or flat; a ``Dataset``
    or a loader of such; for a model of text, a list of sentences. Pictures of bytes are taken as grey levels of 0 to
    255. Draws are functions of ``seed``, or where that is None new ones every time, by PyTorch's global generator.
    """

    def encode(self, x: Any) -> Encoded:
        """q(w | x) of each of the examples ``x``: ``.mean``, ``.std``, ``.sample(n)``, and for a mixture ``.category``.

        Raises ``UserError`` where they are not of the model's shape, or words that it does not know.
        """
        parts = []
        with self._answering() as form:
            rows = form.rows(x)
            for number, piece in enumerate(chunks(len(rows), BATCH)):
                part = rows[piece]
                rng = generator("encode", number, device=part.device)
                noise = self.vae.posterior.draw_noise(self.objective.samples, len(part), rng)
                parts.append((self.infer(part, noise), len(part)))
            return encoded(parts, self.vae.posterior, self.vae.prior)

    def decode(self, w: Float[Tensor, "*batch M"], how: str = "greedy", seed: int | None = None) -> Any:
        """E[x | w] for each latent ``w``, in the shape of an example; of a model of text a list of sentences.

        ``how`` is for text: ``"greedy"``, ``"beam"``, ``"nucleus"`` or ``"ancestral"``, of which the last two draw, by
        ``seed``. Raises ``UserError`` for a w of another dimension.
        """
        with self._answering() as form:
            w = self._latents(w)
            if form.symbols is not None:
                return self._sentences(form, w, how, seed)
            flat = w.reshape(-1, w.shape[-1])
            means = [self._observation(flat[piece]).mean for piece in chunks(len(flat), BATCH)]
            return form.examples(torch.cat(means)).unflatten(0, w.shape[:-1])

    def reconstruct(self, x: Any, how: str = "greedy", seed: int | None = None) -> Any:
        """What the posterior mean of each of the examples ``x`` decodes to; ``how`` and ``seed`` as for ``decode``."""
        return self.decode(self.encode(x).mean, how, seed)

    def sample(
        self,
        count: int,
        category: int | None = None,
        mean: bool = False,
        how: str = "ancestral",
        seed: int | None = None,
    ) -> Any:
        """``count`` draws of x from the model; of one ``category`` of z where that is given.

        With ``mean`` E[x | w] of drawn w, which is what pictures of samples show, in place of draws of p(x | w). Of
        text ``how`` says how words are chosen, and ``mean`` nothing. Raises ``UserError`` for a category that is none.
        """
        with self._answering() as form:
            prior = self.vae.prior()
            rng = drawing(seed, prior.mean.device)
            if category is None:
                w = prior.sample(count, rng)
            else:
                if not isinstance(prior, Mixture):
                    raise UserError(f"{type(self).__name__} has no categories here; leave category= out.")
                categories = len(prior.log_mixing)
                if not 0 <= category < categories:
                    raise UserError(f"category={category} is none of the {categories}: 0 to {categories - 1}.")
                chosen = torch.full((count,), category, device=prior.mean.device)
                w = prior.components.sample(chosen, rng)
            if form.symbols is not None:
                return self._sentences(form, w, how, seed)
            rows = []
            for piece in chunks(count, BATCH):
                observation = self._observation(w[piece])
                rows.append(observation.mean if mean else observation.sample(rng))
            return form.examples(torch.cat(rows))

    def interpolate(self, a: Any, b: Any, steps: int = 7, how: str = "greedy", seed: int | None = None) -> Any:
        """What lies between one example ``a`` and another, ``b``: ``steps`` decoded latents, both ends included.

        On the straight line between their posterior means; ``how`` and ``seed`` are those of ``decode``. ``a`` and
        ``b`` are one example each, or of text one sentence.
        """
        ends = []
        for end in (a, b):
            one: Any = [end] if isinstance(end, str) else end
            shape = Form(self).shape
            if not are_sentences(one) and tuple(getattr(one, "shape", ())) in (shape, (prod(shape),)):
                one = one[None]
            mean = self.encode(one).mean
            if len(mean) != 1:
                raise UserError(f"interpolate needs one example at each end, got {len(mean)}.")
            ends.append(mean[0])
        if steps < 2:
            raise UserError(f"steps={steps} must be at least 2, for both ends.")
        share = torch.linspace(0, 1, steps, device=ends[0].device, dtype=ends[0].dtype).unsqueeze(-1)
        return self.decode(ends[0] + share * (ends[1] - ends[0]), how, seed)

    def log_likelihood(self, x: Any, samples: int = 100, seed: int = 0) -> Float[Tensor, " N"]:
        """log p(x) of each of the examples ``x``, nats, by ``samples`` importance samples from q.

        A bound from below in expectation, that rises with ``samples`` (Burda et al. 2016). In the units of ``x``, where
        the model was trained on standardised columns, too. Draws follow from ``seed``.
        Raises ``UserError`` for no samples.
        """
        if samples < 1:
            raise UserError(f"samples={samples} must be at least 1.")
        found = []
        with self._answering() as form:
            rows = form.rows(x)
            categories = self.vae.posterior.categories or 1
            width = rows.shape[1] * (form.symbols or 1) * categories
            size = max(1, min(BATCH, NUMBERS // (samples * width)))
            for number, piece in enumerate(chunks(len(rows), size)):
                part = rows[piece]
                rng = generator("likelihood", seed, number, device=part.device)
                q = self.infer(part, self.vae.posterior.draw_noise(self.objective.samples, len(part), rng))
                with torch.no_grad():
                    terms = self.vae.terms(part, q, self.vae.posterior.draw_noise(samples, len(part), rng))
                    found.append(torch.logsumexp(terms.log_evidence_weight(), 0) - log(samples))
            return torch.cat(found) + form.log_det_jacobian

    def diagnose(self, x: Any, **options: Any) -> Report:
        """How far the posterior has collapsed on the examples ``x``; ``options`` are those of ``lid_vae.diagnose``."""
        return diagnose(self, x, **options)

    def prepare(self, x: Any) -> Any:
        """The examples ``x`` as the model takes them; a data module of ``lid_vae.data`` gives them so by itself."""
        return x if isinstance(x, DataModule) else Form(self).rows(x)

    def loss(self, x: Any) -> Float[Tensor, ""]:
        """The negative objective on a batch ``x``, nats per example, with its gradient: for a loop of one's own.

        Each call draws new noise, by PyTorch's global generator. Grey pictures are taken as they are, not binarised.
        """
        rows = Form(self).rows(x)
        noise = self.vae.posterior.draw_noise(self.objective.samples, len(rows), drawing(None, rows.device))
        return -self(rows, noise).mean()

    def save(self, path: str | PathLike[str]) -> None:
        """Writes the model to ``path``, from where ``lid_vae.load(path)`` has it back, and ``evaluate.py`` measures it.

        Raises ``UserError`` for a model that was built by hand, of which nothing says how to build it again.
        """
        if "config" not in self.description:
            raise UserError(
                f"This {type(self).__name__} was built by hand, so that a file could not say how to build it again. "
                f"Build it with {type(self).__name__}.build(x, ...), or save its state_dict()."
            )
        checkpoint = {
            "state_dict": self.state_dict(),
            "epoch": 0,
            "global_step": self.step,
            "pytorch-lightning_version": pl.__version__,
            "lid_vae": self.describe(),
        }
        AtomicCheckpointIO().save_checkpoint(checkpoint, Path(path))

    @contextmanager
    def _answering(self) -> Iterator[Form]:
        """Evaluation mode, and the gradient only where an inference strategy takes one."""
        training = self.training
        self.eval()
        try:
            with torch.no_grad():
                yield Form(self)
        finally:
            self.train(training)

    def _latents(self, w: Any) -> Tensor:
        latent = self.vae.prior.latent_dimension
        parameter = next(self.parameters())
        w = torch.as_tensor(w).to(parameter.device, parameter.dtype)
        if w.ndim < 1 or w.shape[-1] != latent:
            raise UserError(f"w has the shape {list(w.shape)}; its last axis must be the {latent} latent dimensions.")
        return w

    def _observation(self, w: Float[Tensor, "N M"]) -> VectorObservation:
        observation = self.vae.likelihood(w)
        assert isinstance(observation, VectorObservation)
        return observation

    def _sentences(self, form: Form, w: Observations, how: str, seed: int | None) -> list[str]:
        likelihood = self.vae.likelihood
        assert isinstance(likelihood, AutoregressiveLikelihood)
        key = str(int(torch.randint(2**31, ())) if seed is None else seed)
        try:
            decode = decoder(how, key=key)
        except UserError as error:
            raise UserError(str(error).replace("decode=", "how=")) from error
        return form.sentences(decode(likelihood, w, form.longest))
