"""The drawing of Figures 3 and 4, Theorem 1 and the bridge: from numbers and posteriors to matplotlib figures."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lid_vae.appearance import INKS
from lid_vae.classical.ppca import PPCA
from lid_vae.figure.gaussian_mixture import Panel
from lid_vae.figure.numbers import Number
from lid_vae.figure.ppca import FIT, PAPER
from lid_vae.figure.theorem import KL, VARIATION
from lid_vae.shapes import Float, Tensor

__all__ = ["draw_bridge", "draw_mixture", "draw_ppca", "draw_ppca_sweeps", "draw_theorem"]

KL_AXIS = "KL from the prior (nats)"
BLUE, VERMILION, GREEN, PURPLE = INKS
PRIOR, EXACT, SAMPLED, VARIATIONAL = "black", BLUE, VERMILION, PURPLE
CASES = (GREEN, PURPLE, BLUE)


def draw_ppca(
    cases: Sequence[tuple[str, PPCA, PPCA, Float[Tensor, "N D"]]], numbers: Sequence[Number], example: int
) -> Figure:
    """For each of ``cases`` (name, paper's parameters, fit, data) the likelihood surface of one sample, its posteriors.

    ``example`` is that sample's row; ``numbers`` are the cases', of which the KL is written in.
    """
    figure = Figure(figsize=(10.5, 3.3 * len(cases)), layout="constrained")
    axes = figure.subplots(len(cases), 3, squeeze=False)
    for row, (name, paper, fitted, x_ND) in zip(axes, cases, strict=True):
        _likelihood_surface(row[0], paper, x_ND[example])
        _label(row[0], f"{name}: likelihood of one sample")
        for axis, parameters, model in ((row[1], PAPER, paper), (row[2], FIT, fitted)):
            kl = [n.value for n in _of(numbers, case=name, parameters=parameters) if n.quantity.startswith("KL of")]
            _direction_posteriors(axis, model, x_ND[example], kl)
            at = "at the paper's parameters" if parameters == PAPER else f"at the fit to {len(x_ND)} samples"
            _label(axis, f"its posterior {at}")
    return figure


def draw_ppca_sweeps(noise: Sequence[Number], sizes: Sequence[Number]) -> Figure:
    """KL against the noise variance, ``noise``, and the idle direction's against the number of samples, ``sizes``."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    names = sorted({n.quantity for n in noise})
    for color, name in zip(INKS, names, strict=False):
        for parameters, style in ((PAPER, "o"), (FIT, "x")):
            rows = _of(noise, quantity=name, parameters=parameters)
            at = [n.at for n in rows]
            label = f"{name[6:]}, {'true parameters' if parameters == PAPER else 'fit'}"
            left.plot(at, [n.value for n in rows], style, color=color, markersize=4, label=label)
            if parameters == PAPER:
                left.plot(at, [n.exact for n in rows], color=color, linewidth=1)
    logs = {"xscale": "log", "yscale": "log"}
    title = "the posterior tends to the prior as the noise grows"
    _label(left, title, legend=True, xlabel="noise variance", ylabel=KL_AXIS, **logs)
    law, active = _of(sizes, method="large-sample law"), _of(sizes, unit="directions")
    kl = [n for n in _of(sizes, unit="nats") if n.method != "large-sample law"]
    error = [2 * n.standard_error for n in kl]
    right.errorbar(*_points(kl), error, fmt="o", color=GREEN, label="mean of fits, ± 2 s.e.")
    right.plot(*_points(law), color=GREEN, linewidth=1, label="large-sample law")
    right.axhline(0.01, color="0.5", linewidth=0.8, linestyle=":", label="0.01 nats")
    for n, below in zip(active, kl, strict=True):
        right.annotate(f"{n.value:g}", (n.at, 1.35 * below.value), ha="center", fontsize=8)
    right.margins(y=0.1)
    title = f"at the fit; the numbers: active directions, of {len(names)}"
    _label(right, title, legend=True, xlabel="samples", ylabel="KL of the idle direction (nats)", **logs)
    return figure


def draw_mixture(panels: Sequence[Panel], sizes: Sequence[Number], share: Sequence[Number]) -> Figure:
    """Likelihood and posteriors of ``panels``, at the paper's parameters (above) and at the fit (below).

    ``sizes`` are the sweep over sample sizes, ``share`` how often a fit collapses.
    """
    names = list(dict.fromkeys(panel.case for panel in panels))
    figure = Figure(figsize=(3.3 * (1 + len(names)), 6.4), layout="constrained")
    axes = figure.subplots(2, 1 + len(names), squeeze=False)
    _mixture_likelihoods(axes[0, 0], [panel for panel in panels if panel.parameters == PAPER])
    for color, name in zip(CASES, names, strict=False):
        at, kl = _points(_of(sizes, case=name))
        axes[1, 0].plot(at, np.maximum(kl, 1e-3), "o-", color=color, markersize=3, label=name)
    title = "KL by number of samples\nat the paper's parameters"
    _label(axes[1, 0], title, legend=True, xscale="log", xlabel="samples", ylabel=KL_AXIS)
    for panel in panels:
        axis = axes[0 if panel.parameters == PAPER else 1, 1 + names.index(panel.case)]
        _weight_posteriors(axis, panel)
        title = panel.case + ("\nat the paper's parameters" if panel.parameters == PAPER else "\nat the fit")
        collapsed = _of(share, case=panel.case, parameters=panel.parameters, unit="")
        _label(axis, title + "".join(f"\n{n.value:.0%} of {n.method} collapse" for n in collapsed))
    figure.legend(*axes[0, 1].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=8)
    return figure


def draw_theorem(numbers: Sequence[Number]) -> Figure:
    """KL against separation, and against the variation of the likelihood, both in ``numbers``."""
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    for color, case in zip(INKS, dict.fromkeys(n.case for n in numbers), strict=False):
        at, kl = _points(_of(numbers, case=case, quantity=KL))
        _, variation = _points(_of(numbers, case=case, quantity=VARIATION))
        left.plot(at, kl, "o-", markersize=3, color=color, label=case)
        right.plot(variation, kl, "o", markersize=3, color=color, label=case)
    curve = np.logspace(-4, 0.5, 50)
    right.plot(curve, curve**2 / 2, color="0.5", linewidth=1, label="variation² / 2")
    for axis, smallest in ((left, 1e-3), (right, 1e-4)):
        axis.set_xscale("symlog", linthresh=smallest)
        axis.set_yscale("symlog", linthresh=1e-9)
        axis.set(xlim=(0, None), ylim=(0, None))
    place = "separation of the means, or weight (noise deviations)"
    _label(left, "from not identifiable (0) to identifiable", legend=True, xlabel=place, ylabel=KL_AXIS)
    place = f"{VARIATION} over the prior (nats)"
    _label(right, "zero together, and only there", legend=True, xlabel=place, ylabel=KL_AXIS)
    return figure


def draw_bridge(numbers: Sequence[Number]) -> Figure:
    """KL of each direction in ``numbers``, by data set and decoder, each with the exact value of its PPCA as a line."""
    cases = list(dict.fromkeys(n.case for n in numbers))
    decoders = list(dict.fromkeys(n.parameters for n in numbers))
    figure = Figure(figsize=(2.6 * len(cases), 3.6), layout="constrained")
    for axis, case in zip(figure.subplots(1, len(cases), sharey=True, squeeze=False)[0], cases, strict=True):
        for k, (color, marker, decoder) in enumerate(zip(INKS, "osD^", decoders, strict=False)):
            kl = [n for n in _of(numbers, case=case, parameters=decoder) if n.quantity.startswith("KL of")]
            side = 0.2 * (k - (len(decoders) - 1) / 2)  # side by side, not one behind the other
            at = np.arange(1, len(kl) + 1) + side
            axis.plot(at, [n.value for n in kl], marker, color=color, markersize=5, label=decoder)
            last = k == len(decoders) - 1
            exact = "PPCA, exact (for Brenier: gains at least mu)" if last else None
            axis.hlines([n.exact for n in kl], at - 0.1, at + 0.1, color=PRIOR, linewidth=1.2, zorder=3, label=exact)
        axis.set_yscale("symlog", linthresh=1e-3)
        axis.set(xlabel="direction", xticks=range(1, len(kl) + 1), xlim=(0.4, len(kl) + 0.6), ylim=(-2e-4, 3))
        _label(axis, case.replace(", ", ",\n"))
    figure.axes[0].set_ylabel(KL_AXIS)
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8)
    return figure


def _likelihood_surface(axis: Axes, model: PPCA, x_D: Float[Tensor, " D"]) -> None:
    grid = torch.linspace(-3, 3, 121, dtype=torch.float64)
    z_GG2 = torch.stack(torch.meshgrid(grid, grid, indexing="xy"), -1)
    square_GG = (x_D - model.mean - z_GG2 @ model.weight[:2]).square().sum(-1)
    relative_GG = (0.5 * (square_GG.min() - square_GG) / model.noise_variance).exp()
    axis.contourf(grid, grid, relative_GG, levels=np.linspace(0, 1, 11), cmap="Blues")
    axis.set(xlabel="$z_1$", ylabel="$z_2$", aspect="equal")


def _direction_posteriors(axis: Axes, model: PPCA, x_D: Float[Tensor, " D"], kl: Sequence[float]) -> None:
    z = torch.linspace(-4, 4, 400, dtype=torch.float64)
    prior = (-0.5 * z**2).exp() / (2 * torch.pi) ** 0.5
    axis.plot(z, prior, color=PRIOR, linestyle="--", zorder=3, label="prior")
    mean_L, variance_L = model.posterior_mean(x_D[None])[0], model.posterior_covariance.diagonal()
    for d, color in zip(range(len(mean_L)), INKS, strict=False):
        density = torch.distributions.Normal(mean_L[d], variance_L[d].sqrt()).log_prob(z).exp()
        axis.plot(z, density, color=color, label=f"$z_{d + 1}$: KL {_nats(kl[d])}")
    axis.set(xlabel="$z$", ylabel="density", ylim=(0, None))
    axis.legend(fontsize=8, loc="best", title="KL: mean over the data", title_fontsize=8)


def _mixture_likelihoods(axis: Axes, panels: Sequence[Panel]) -> None:
    alpha = torch.linspace(0.002, 0.998, 250, dtype=torch.float64)
    for color, panel in zip(CASES, panels, strict=False):
        per_example = panel.exact.log_likelihood(alpha) / len(panel.x)
        axis.plot(alpha, per_example - per_example.max(), color=color, label=panel.case)
    title, y = "likelihood less its maximum\nat the paper's parameters", "log-likelihood per sample (nats)"
    _label(axis, title, legend=True, xlabel=r"$\alpha$", ylabel=y, ylim=(-1.5, 0.05))


def _weight_posteriors(axis: Axes, panel: Panel) -> None:
    """The peak; and, where it is narrow, an inset with the whole interval, where the prior can be seen."""
    reach = 6 * panel.exact.standard_deviation
    low, high = max(0.0, panel.exact.mean - reach), min(1.0, panel.exact.mean + reach)
    top = 1.3 * float(panel.exact.log_density(torch.tensor([panel.exact.mode], dtype=torch.float64)).exp())
    _posterior_curves(axis, panel, low, high)
    axis.set(xlabel=r"$\alpha$", ylabel="density", xlim=(low, high), ylim=(0, top))
    axis.xaxis.set_major_locator(MaxNLocator(5))
    if high - low < 0.5:
        inset = axis.inset_axes((0.68, 0.6, 0.3, 0.36))
        _posterior_curves(inset, panel, 0.0, 1.0)
        inset.set(xlim=(0, 1), ylim=(0, 6), xticks=[0, 1], yticks=[])
        inset.tick_params(labelsize=7)
    axis.text(0.03, 0.97, f"KL {_nats(panel.exact.kl)}", transform=axis.transAxes, va="top", fontsize=9)


def _posterior_curves(axis: Axes, panel: Panel, low: float, high: float) -> None:
    width = max(panel.exact.standard_deviation, 1e-4)
    near = torch.linspace(panel.exact.mean - 6 * width, panel.exact.mean + 6 * width, 600, dtype=torch.float64)
    alpha = torch.cat([torch.linspace(low, high, 400, dtype=torch.float64), near]).clamp(1e-6, 1 - 1e-6).unique()
    if panel.chains is not None:
        draws = panel.chains.alpha.flatten().numpy()
        axis.hist(draws, bins=40, density=True, color=SAMPLED, alpha=0.4, label="NUTS")
    axis.plot(alpha, panel.exact.log_density(alpha).exp(), color=EXACT, linewidth=2, label="exact (quadrature)")
    variational = panel.variational.distribution.log_prob(alpha).exp()
    axis.plot(alpha, variational, color=VARIATIONAL, linestyle=":", label="mean field")
    axis.plot(alpha, panel.mixture.prior.log_prob(alpha).exp(), color=PRIOR, linestyle="--", linewidth=1, label="prior")


def _nats(kl: float) -> str:
    """Two decimals, and a bare 0 for no more than rounding."""
    return "0" if kl < 1e-12 else f"{kl:.2f}"


def _of(numbers: Sequence[Number], **fields: str) -> list[Number]:
    """Those of these fields."""
    return [n for n in numbers if all(getattr(n, name) == value for name, value in fields.items())]


def _points(numbers: Sequence[Number]) -> tuple[list[float], list[float]]:
    """Places on a sweep's axis, and the values there."""
    return [n.at for n in numbers], [n.value for n in numbers]


def _label(axis: Axes, title: str, legend: bool = False, **options: Any) -> None:
    axis.set(**options)
    axis.set_title(title, fontsize=9)
    if legend:
        axis.legend(fontsize=7)
