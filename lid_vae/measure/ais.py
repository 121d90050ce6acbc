"""The likelihood enclosed: annealed importance sampling of a split, and of simulated examples from both sides."""

from hashlib import blake2b
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from lid_vae.errors import UserError
from lid_vae.measure.annealed import Annealing, Bounds, annealed_bounds, simulate, target_of
from lid_vae.measure.annealed.annealing import Schedule
from lid_vae.measure.base import SplitMeasure, Subject
from lid_vae.measure.batch import Ruler, measure_batch, noise_of
from lid_vae.noise import generator
from lid_vae.shapes import Float, Observations, Tensor
from lid_vae.system.files import write_atomic
from lid_vae.vae import Autoencoder

__all__ = ["AIS"]

BATCH = 100


class AIS(SplitMeasure):
    """Bounds of log p(x): annealed importance sampling (Neal 2001), bidirectional Monte Carlo (Grosse et al. 2015).

    Of examples of the split a lower bound, beside importance sampling's with the evaluation's own draws on the same
    examples; of examples that the model itself draws a lower and an upper bound, whose distance says how slack such a
    lower bound is. What is done is kept in the folder of the evaluation until all is, and an evaluation that was
    interrupted goes on from there.

    Args:
        examples: how many of the split, its first ones; None for all.
        simulated: how many are drawn from the model; 0 for none.
        steps, chains, leapfrog, schedule: those of ``Annealing``.
        seed: of the noise and of the simulated examples.
        rows: of the decoder at once, chains times examples, which bounds the memory.

    Raises ``UserError`` for settings out of range, and in ``check`` for binary w and for models of text.
    """

    def __init__(
        self,
        examples: int | None = 1000,
        simulated: int = 100,
        steps: int = 400,
        chains: int = 8,
        leapfrog: int = 2,
        schedule: Schedule = "sigmoid",
        seed: int = 0,
        rows: int = 2000,
    ) -> None:
        if (examples is not None and examples < 1) or simulated < 0:
            raise UserError(
                f"AIS needs at least one example and no negative number of simulated ones, got examples={examples} "
                f"and simulated={simulated}. Use examples=1000 and simulated=100."
            )
        self.examples, self.simulated, self.seed, self.rows = examples, simulated, seed, rows
        self.annealing = Annealing(steps, chains, leapfrog, schedule)

    def check(self, vae: Autoencoder) -> None:
        """Raises ``UserError`` where the w of ``vae`` is binary or its x a sequence."""
        target_of(vae)

    def measure(self, subject: Subject) -> dict[str, Any]:
        found: dict[str, Any] = {"steps": self.annealing.steps, "chains": self.annealing.chains}
        x = self._first(subject)
        bounds = self._bounds(subject, "split", x, None)
        found |= {**bounds.summary(), "examples": len(bounds), **self._importance(subject, x, bounds)}
        if self.simulated:
            with torch.no_grad():
                w, drawn = simulate(subject.vae, self.simulated, generator("ais", self.seed, device=subject.device))
            found["simulated"] = self._bounds(subject, "simulated", drawn, w).summary()
        return found

    def _first(self, subject: Subject) -> Observations:
        """The examples of the split that are measured."""
        batches = [batch.x for batch in islice(subject.batches(), self.examples)]
        return torch.cat(batches)[: self.examples]

    def _bounds(self, subject: Subject, what: str, x: Observations, w: Float[Tensor, "N M"] | None) -> Bounds:
        """Those of ``x``, kept in the folder while they are made."""
        make_target = target_of(subject.vae, subject.infer, inference_samples=subject.inference_samples)
        path = None if subject.folder is None else subject.folder / f".ais-{what}-{self._digest(subject.vae, x)}.part"
        done = Bounds.of(torch.load(path, weights_only=True)) if path is not None and path.exists() else None
        bounds = annealed_bounds(
            make_target,
            x,
            self.annealing,
            w=w,
            seed=self.seed,
            rows=self.rows,
            done=done,
            each=lambda so_far: _keep(path, so_far),
        )
        if path is not None:
            path.unlink(missing_ok=True)
        return bounds

    def _importance(self, subject: Subject, x: Observations, bounds: Bounds) -> dict[str, float]:
        """Importance sampling's bound of the same examples, and what it misses of the annealed one."""
        ruler = Ruler(subject.samples, with_w=False, inference_samples=subject.inference_samples)
        pieces = [
            measure_batch(subject.vae, subject.infer, piece, ruler, noise_of(number, x.device))["evidence"]
            for number, piece in enumerate(x.split(BATCH))
        ]
        missed = bounds.lower - torch.cat(pieces).to(bounds.lower)
        error = float(missed.std() / len(missed) ** 0.5) if len(missed) > 1 else 0.0
        return {
            "importance": float(torch.cat(pieces).mean()),
            "importance_samples": subject.samples,
            "missed": float(missed.mean()),
            "missed_se": error,
        }

    def _digest(self, vae: Autoencoder, x: Observations) -> str:
        """What the bounds are of: weights, examples and settings."""
        content = BytesIO()
        torch.save([x.cpu(), *(value.cpu() for value in vae.state_dict().values())], content)
        settings = repr((self.annealing, self.seed)).encode()
        return blake2b(content.getvalue() + settings, digest_size=8).hexdigest()


def _keep(path: Path | None, bounds: Bounds) -> None:
    if path is not None:
        content = BytesIO()
        torch.save(bounds.state_dict(), content)
        write_atomic(path, content.getvalue())
