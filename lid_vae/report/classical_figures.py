"""Figures 3 and 4, Theorem 1's curve and the bridge: compute, draw, and write each as PDF, PNG and CSV."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from multiprocessing import get_context
from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Generator, Tensor

from lid_vae.classical.ppca import PPCA, fit
from lid_vae.classical.sampling import require_pyro
from lid_vae.errors import UserError
from lid_vae.files import write_atomic
from lid_vae.noise import generator
from lid_vae.report import classical_bridge, classical_drawing, classical_gmm, classical_ppca, classical_theorem
from lid_vae.report.classical_numbers import Number, as_csv, as_text

__all__ = ["Bridge", "Figure3", "Figure4", "Outcome", "TheoremOne"]


@dataclass(frozen=True)
class Outcome:
    """What a figure has to say on the terminal: its numbers, the files, and what went wrong without stopping it."""

    text: str
    files: tuple[Path, ...]
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Figure3:
    """PPCA: truths by name, each fitted by ``latent`` directions. Options: conf/figure/figure_3.yaml."""

    truths: Mapping[str, Mapping]
    latent: int
    samples: int
    example: int
    noise_variances: Sequence[float]
    sample_sizes: Sequence[int]
    repeats: int

    def draw(self, folder: Path, seed: int) -> Outcome:
        """Write figure-3 and figure-3-sweeps to ``folder``."""
        if not 0 <= self.example < self.samples:
            raise UserError(f"figure.example={self.example} is not one of the {self.samples} samples, numbered from 0.")
        cases, numbers = [], []
        truths = {f"{key.replace('_', '-')} truth": classical_ppca.Truth(**truth) for key, truth in self.truths.items()}
        for name, truth in truths.items():
            paper = truth.with_directions(self.latent)
            x = truth.model.sample(self.samples, generator(seed, "figure 3", name))
            fitted = fit(x, self.latent, center=False)
            numbers += classical_ppca.numbers_at(name, classical_ppca.PAPER, paper, x)
            numbers += classical_ppca.numbers_at(name, classical_ppca.FIT, fitted, x)
            cases.append((name, paper, fitted, x))
        files = _write(folder / "figure-3", classical_drawing.draw_ppca(cases, numbers, self.example), numbers)
        first, *_, last = truths.values()
        noise = classical_ppca.noise_sweep(last, self.latent, self.samples, self.noise_variances, seed)
        sizes = classical_ppca.sample_size_sweep(first, self.latent, self.sample_sizes, self.repeats, seed)
        sweeps = classical_drawing.draw_ppca_sweeps(noise, sizes)
        return Outcome(as_text(numbers), files + _write(folder / "figure-3-sweeps", sweeps, [*noise, *sizes]))


@dataclass(frozen=True)
class Figure4:
    """The Gaussian mixture: data sets by name. Options: conf/figure/figure_4.yaml."""

    clusters: Mapping[str, Mapping]
    samples: int
    nuts: Mapping[str, int]
    replicates: Mapping
    processes: int

    def draw(self, folder: Path, seed: int) -> Outcome:
        """Write figure-4 to ``folder``; chains that did not mix are a problem."""
        nuts = classical_gmm.Nuts(**self.nuts)
        if nuts.chains > 0:
            require_pyro()  # before the work, not after
        data = {key.replace("_", " "): classical_gmm.Clusters(**truth) for key, truth in self.clusters.items()}
        panels, sizes = [], []
        with self._replicate(data, seed) as share_of_each:
            for name, clusters in data.items():
                panels += classical_gmm.make_panels(name, clusters, self.samples, nuts, seed)
                sizes += classical_gmm.sample_size_sweep(name, clusters, self.samples, seed)
            share = [number for numbers in share_of_each() for number in numbers]
        numbers = [*(number for panel in panels for number in panel.numbers()), *share, *sizes]
        problems = tuple(
            f"The chains did not mix for {panel.case} at {panel.parameters}: R-hat {panel.chains.r_hat:.3f} (wanted: "
            f"at most 1.01), effective sample size {panel.chains.effective_size:.0f} (wanted: at least "
            f"{100 * len(panel.chains.alpha)}). Sample longer: figure.nuts.samples={2 * nuts.samples}."
            for panel in panels
            if panel.chains is not None and not panel.chains.mixed
        )
        figure = classical_drawing.draw_mixture(panels, sizes, share)
        return Outcome(as_text(numbers), _write(folder / "figure-4", figure, numbers), problems)

    @contextmanager
    def _replicate(
        self, data: Mapping[str, classical_gmm.Clusters], seed: int
    ) -> Iterator[Callable[[], list[list[Number]]]]:
        """The shares of fits that collapse: in a second process meanwhile, or when asked for if there is to be one."""
        samples, count = self.replicates["samples"], self.replicates["count"]
        names = [key.replace("_", " ") for key in self.replicates["of"] if count > 0]
        jobs = [(name, data[name], samples, count, seed) for name in names if name in data]
        if self.processes == 1 or not jobs:
            yield lambda: [classical_gmm.collapse_share(*job) for job in jobs]
            return
        # A fresh process: one forked from this one would share locks with the threads of torch and BLAS.
        with get_context("spawn").Pool(1, torch.set_num_threads, (1,)) as pool:
            results = [pool.apply_async(classical_gmm.collapse_share, job) for job in jobs]
            yield lambda: [result.get() for result in results]


@dataclass(frozen=True)
class TheoremOne:
    """Posterior equals prior exactly where the likelihood is constant. Options: conf/figure/theorem_1.yaml."""

    separations: Sequence[float]
    mixture_samples: Sequence[int]
    alpha: float
    weights: Sequence[float]
    ppca_samples: int
    features: int

    def draw(self, folder: Path, seed: int) -> Outcome:
        """Write theorem-1 to ``folder``."""
        numbers = []
        for samples in self.mixture_samples:
            numbers += classical_theorem.mixture_grid(self.separations, samples, self.alpha, seed)
        numbers += classical_theorem.ppca_grid(self.weights, self.ppca_samples, self.features, seed)
        return Outcome("", _write(folder / "theorem-1", classical_drawing.draw_theorem(numbers), numbers))


@dataclass(frozen=True)
class Bridge:
    """VAEs with a linear and a Brenier decoder on PPCA's data. Options: conf/figure/bridge.yaml."""

    truths: Mapping[str, Mapping]
    latent: int
    samples: int
    evaluation_samples: int
    width: int
    steps: int
    strong_convexity_floors: Sequence[float]

    def draw(self, folder: Path, seed: int) -> Outcome:
        """Write bridge to ``folder``."""
        numbers = []
        for key, options in self.truths.items():
            truth = classical_ppca.Truth(**options).model
            for size, sample in ((f"{self.samples} samples", truth.sample), ("limit", self._limit(truth))):
                x = sample(self.samples, generator(seed, "bridge", key))
                numbers += self._compare(f"{key.replace('_', '-')} truth, {size}", x, seed)
        return Outcome(as_text(numbers), _write(folder / "bridge", classical_drawing.draw_bridge(numbers), numbers))

    def _limit(self, truth: PPCA) -> Callable[[int, Generator], Tensor]:
        return partial(classical_bridge.limit_sample, truth)

    def _compare(self, case: str, x: Tensor, seed: int) -> list[Number]:
        linear = classical_bridge.fit_linear(classical_bridge.linear_vae(x.shape[1], self.latent, seed), x)
        measured = classical_bridge.measure(linear, x, self.evaluation_samples)
        numbers = classical_bridge.numbers_beside_ppca(case, "linear decoder", measured, x, self.latent)
        for floor in self.strong_convexity_floors:
            vae = classical_bridge.brenier_vae(x, self.latent, self.width, floor, seed)
            classical_bridge.fit_brenier(vae, x, seed, self.steps)
            measured = classical_bridge.measure(vae, x, self.evaluation_samples)
            decoder = f"Brenier decoder, mu at least {floor:g}"
            numbers += classical_bridge.numbers_beside_ppca(case, decoder, measured, x, self.latent, exact=False)
        return numbers


def _write(stem: Path, figure: Figure, numbers: Sequence[Number]) -> tuple[Path, ...]:
    """``stem`` as .pdf, .png and .csv; the same input gives the same bytes."""
    paths = []
    for suffix, options in (("pdf", {"metadata": {"CreationDate": None}}), ("png", {"dpi": 130})):
        content = BytesIO()
        figure.savefig(content, format=suffix, **options)
        paths.append(stem.with_name(f"{stem.name}.{suffix}"))
        write_atomic(paths[-1], content.getvalue())
    paths.append(stem.with_name(f"{stem.name}.csv"))
    write_atomic(paths[-1], as_csv(numbers))
    return tuple(paths)
