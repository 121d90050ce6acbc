"""Figures 3 and 4, Theorem 1's curve and the bridge: compute, draw, and write each as PDF, SVG, PNG and CSV."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain, starmap
from multiprocessing import get_context
from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor

from lid_vae.appearance import DOTS
from lid_vae.classical.ppca import fit
from lid_vae.classical.sampling import require_pyro
from lid_vae.errors import UserError
from lid_vae.figure import bridge, drawing, gaussian_mixture, ppca, theorem
from lid_vae.figure.numbers import Number, as_csv, as_text
from lid_vae.figure.options import check_number, check_numbers, check_options
from lid_vae.noise import generator
from lid_vae.picture.drawing import pdf, png, styled, svg
from lid_vae.run.plan import check_whole
from lid_vae.system.files import write_atomic
from lid_vae.system.phases import phase, watched

__all__ = ["Bridge", "Figure3", "Figure4", "Outcome", "TheoremOne"]

PANELS = 2
"""Of each data set of Figure 4: at the paper's parameters, and at the fit."""


@dataclass(frozen=True)
class Outcome:
    """What a figure has to say on the terminal.

    ``text`` are its numbers, ``files`` what was written, and ``problems`` what went wrong without stopping it.
    """

    text: str
    files: tuple[Path, ...]
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Figure3:
    """PPCA: ``truths`` by name, each fitted by ``latent`` directions. Options: conf/figure/figure_3.yaml.

    ``samples`` are drawn of each truth; of sample number ``example`` likelihood and posterior are shown. The sweeps
    take ``noise_variances`` of the last truth, and ``sample_sizes`` of the first, each drawn ``repeats`` times.
    """

    truths: Mapping[str, Mapping]
    latent: int
    samples: int
    example: int
    noise_variances: Sequence[float]
    sample_sizes: Sequence[int]
    repeats: int

    def draw(self, folder: Path, seed: int) -> Outcome:
        """Write figure-3 and figure-3-sweeps to ``folder``, its data functions of ``seed``."""
        self._check()
        truths, cases, numbers = _read_truths(self.truths), [], []
        for name, truth in watched(truths.items(), "figure 3: fits and posteriors", len(truths)):
            paper = truth.with_directions(self.latent)
            x = truth.model.sample(self.samples, generator(seed, "figure 3", name))
            fitted = fit(x, self.latent, center=False)
            numbers += ppca.numbers_at(name, ppca.PAPER, paper, x)
            numbers += ppca.numbers_at(name, ppca.FIT, fitted, x)
            cases.append((name, paper, fitted, x))
        draw = partial(drawing.draw_ppca, cases, numbers, self.example)
        files = _write(folder / "figure-3", draw, numbers)
        first, last = next(iter(truths.values())), next(reversed(truths.values()))
        noise = ppca.noise_sweep(last, self.latent, self.samples, self.noise_variances, seed)
        sizes = ppca.sample_size_sweep(first, self.latent, self.sample_sizes, self.repeats, seed)
        sweeps = partial(drawing.draw_ppca_sweeps, noise, sizes)
        return Outcome(as_text(numbers), files + _write(folder / "figure-3-sweeps", sweeps, [*noise, *sizes]))

    def _check(self) -> None:
        for name, least in {"latent": 1, "samples": 1, "example": 0, "repeats": 2}.items():
            check_whole(f"figure.{name}", getattr(self, name), least)
        if self.example >= self.samples:
            raise UserError(f"figure.example={self.example} is not one of the {self.samples} samples, numbered from 0.")
        check_numbers("figure.noise_variances", self.noise_variances)
        check_numbers("figure.sample_sizes", self.sample_sizes, 1, whole=True)


@dataclass(frozen=True)
class Figure4:
    """The Gaussian mixture: data sets, ``clusters``, by name. Options: conf/figure/figure_4.yaml.

    ``samples`` are drawn of each; ``nuts`` are the options of ``Nuts``. ``replicates`` says of which clusters (``of``),
    how many (``count``) and how large (``samples``) the fresh data sets are by which the share of collapse is counted,
    in a second process where ``processes`` is 2.
    """

    clusters: Mapping[str, Mapping]
    samples: int
    nuts: Mapping[str, int]
    replicates: Mapping
    processes: int

    def draw(self, folder: Path, seed: int) -> Outcome:
        """Write figure-4 to ``folder``, its data functions of ``seed``; chains that did not mix are a problem."""
        self._check()
        nuts = gaussian_mixture.Nuts.from_options("figure.nuts", self.nuts)
        if nuts.chains > 0:
            require_pyro()  # before the work, not after
        data = {
            key.replace("_", " "): gaussian_mixture.Clusters.from_options(f"figure.clusters.{key}", clusters)
            for key, clusters in self.clusters.items()
        }
        with self._replicate(data, seed) as shares:
            made = (gaussian_mixture.make_panels(*item, self.samples, nuts, seed) for item in data.items())
            each = watched(chain.from_iterable(made), "figure 4: posteriors and chains", PANELS * len(data))
            panels = list(each)
            swept = watched(data.items(), "figure 4: sample sizes", len(data))
            found = [gaussian_mixture.sample_size_sweep(*item, self.samples, seed) for item in swept]
            sizes = list(chain.from_iterable(found))
            with phase("figure 4: fits to fresh data sets"):
                share = shares()
        numbers = [*(number for panel in panels for number in panel.numbers()), *share, *sizes]
        problems = tuple(
            f"The chains did not mix for {panel.case} at {panel.parameters}: R-hat {panel.chains.r_hat:.3f} (wanted: "
            f"at most 1.01), effective sample size {panel.chains.effective_size:.0f} (wanted: at least "
            f"{100 * len(panel.chains.alpha)}). Sample longer: figure.nuts.samples={2 * nuts.samples}."
            for panel in panels
            if panel.chains is not None and not panel.chains.mixed
        )
        draw = partial(drawing.draw_mixture, panels, sizes, share)
        return Outcome(as_text(numbers), _write(folder / "figure-4", draw, numbers), problems)

    def _check(self) -> None:
        if not self.clusters:
            raise UserError("figure.clusters names no data set. Leave at least one.")
        check_whole("figure.samples", self.samples, 2)
        count, samples = (partial(check_whole, least=least) for least in (0, 2))
        check_options("figure.replicates", self.replicates, "of", count=count, samples=samples)
        unknown = [name for name in self.replicates["of"] if name not in self.clusters]
        if unknown and self.replicates["count"] > 0:
            raise UserError(
                f"figure.replicates.of={unknown} is not among figure.clusters, {list(self.clusters)}. Name one of "
                "these, or leave the replicates out with figure.replicates.count=0."
            )
        if self.processes not in (1, 2):
            raise UserError(f"figure.processes={self.processes} must be 1 or 2: the replicates need one more at most.")

    @contextmanager
    def _replicate(
        self, data: Mapping[str, gaussian_mixture.Clusters], seed: int
    ) -> Iterator[Callable[[], list[Number]]]:
        """The shares of fits that collapse: in a second process meanwhile, or when asked for if there is to be one."""
        samples, count = self.replicates["samples"], self.replicates["count"]
        names = [key.replace("_", " ") for key in self.replicates["of"] if count > 0]
        jobs = [(name, data[name], samples, count, seed) for name in names]
        if self.processes == 1 or not jobs:
            yield lambda: list(chain(*starmap(gaussian_mixture.collapse_share, jobs)))
            return
        # A fresh process: one forked from this one would share locks with the threads of torch and BLAS.
        with get_context("spawn").Pool(1, torch.set_num_threads, (1,)) as pool:
            shares = pool.starmap_async(gaussian_mixture.collapse_share, jobs)
            yield lambda: list(chain(*shares.get()))


@dataclass(frozen=True)
class TheoremOne:
    """Posterior equals prior exactly where the likelihood is constant. Options: conf/figure/theorem_1.yaml.

    Of the mixture: ``separations`` of the means, in scales, ``mixture_samples`` drawn at the weight ``alpha``. Of PPCA:
    ``weights``, lengths of its one direction in ``features`` dimensions over the noise, ``ppca_samples`` of each.
    """

    separations: Sequence[float]
    mixture_samples: Sequence[int]
    alpha: float
    weights: Sequence[float]
    ppca_samples: int
    features: int

    def draw(self, folder: Path, seed: int) -> Outcome:
        """Write theorem-1 to ``folder``, its data functions of ``seed``."""
        check_numbers("figure.separations", self.separations, 0)
        check_numbers("figure.mixture_samples", self.mixture_samples, 2, whole=True)
        check_number("figure.alpha", self.alpha, 0)
        check_numbers("figure.weights", self.weights, 0)
        check_whole("figure.ppca_samples", self.ppca_samples, 1)
        check_whole("figure.features", self.features, 1)
        numbers = []
        for samples in watched(self.mixture_samples, "theorem 1: mixtures", len(self.mixture_samples)):
            numbers += theorem.mixture_grid(self.separations, samples, self.alpha, seed)
        numbers += theorem.ppca_grid(self.weights, self.ppca_samples, self.features, seed)
        return Outcome("", _write(folder / "theorem-1", partial(drawing.draw_theorem, numbers), numbers))


@dataclass(frozen=True)
class Bridge:
    """VAEs with a linear and a Brenier decoder on PPCA's data. Options: conf/figure/bridge.yaml.

    ``samples`` are drawn of each of ``truths``; the VAEs have ``latent`` dimensions, the Brenier decoders ``width``
    units, ``steps`` of Adam, and floors ``strong_convexity_floors`` of their constants. ``evaluation_samples`` is S, in
    each pass.
    """

    truths: Mapping[str, Mapping]
    latent: int
    samples: int
    evaluation_samples: int
    width: int
    steps: int
    strong_convexity_floors: Sequence[float]

    def draw(self, folder: Path, seed: int) -> Outcome:
        """Write bridge to ``folder``, its data functions of ``seed``."""
        for name in ("latent", "samples", "width", "steps"):
            check_whole(f"figure.{name}", getattr(self, name), 1)
        check_whole("figure.evaluation_samples", self.evaluation_samples, 2)
        check_numbers("figure.strong_convexity_floors", self.strong_convexity_floors)
        numbers = []
        cases: list[tuple[str, str, Callable[[int, torch.Generator], Tensor]]] = []
        for name, truth in _read_truths(self.truths).items():
            limit = partial(bridge.limit_sample, truth.model)
            cases += [(name, f"{self.samples} samples", truth.model.sample), (name, "large-sample limit", limit)]
        for name, size, sample in watched(cases, "bridge: VAEs beside PPCA", len(cases)):
            x = sample(self.samples, generator(seed, "bridge", name))
            numbers += self._compare(f"{name}, {size}", x, seed)
        return Outcome(as_text(numbers), _write(folder / "bridge", partial(drawing.draw_bridge, numbers), numbers))

    def _compare(self, case: str, x: Tensor, seed: int) -> list[Number]:
        fit(x, self.latent)  # what PPCA refuses is refused before a VAE is trained
        linear = bridge.linear_vae(x.shape[1], self.latent, seed)
        fitted = {"linear decoder": bridge.fit_linear(linear, x)}
        for floor in self.strong_convexity_floors:
            vae = bridge.brenier_vae(x, self.latent, self.width, floor, seed)
            fitted[f"Brenier decoder, floors {floor:g}"] = bridge.fit_brenier(vae, x, seed, self.steps)
        numbers = []
        for decoder, vae in fitted.items():
            measured = bridge.measure(vae, x, self.evaluation_samples)
            numbers += bridge.numbers_beside_ppca(case, decoder, measured, x, self.latent)
        return numbers


def _read_truths(truths: Mapping[str, Mapping]) -> dict[str, ppca.Truth]:
    """By the name that figures show."""
    if not truths:
        raise UserError("figure.truths names no data set. Leave at least one.")
    return {
        f"{key.replace('_', '-')} truth": ppca.Truth.from_options(f"figure.truths.{key}", options)
        for key, options in truths.items()
    }


def _write(stem: Path, draw: Callable[[], Figure], numbers: Sequence[Number]) -> tuple[Path, ...]:
    """``stem`` as .pdf, .svg, .png and .csv; the same input gives the same bytes."""
    with styled(), phase(f"drawing {stem.name}"):
        figure = draw()
        drawn = png(figure, DOTS)
        figure.set_layout_engine("none")  # found once
        contents = {".pdf": pdf(figure), ".svg": svg(figure), ".png": drawn}
    paths = [stem.with_suffix(suffix) for suffix in contents]
    for path, content in zip(paths, contents.values(), strict=True):
        write_atomic(path, content)
    paths.append(stem.with_suffix(".csv"))
    write_atomic(paths[-1], as_csv(numbers))
    return tuple(paths)
