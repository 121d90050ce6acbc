"""What maps do to a grid of the plane: ``python examples/grid_of_maps.py`` writes ``grid-of-maps.png``.

A Brenier map is the gradient of a convex function: it stretches along directions at right angles, and cannot turn. A
shear moves each point along one axis by a function of the other: it turns, and keeps areas. A polar map does both. The
first two are fitted, as is the third, to the same aim: a rotation that grows with the distance from the middle.
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from torch import nn

from lid_vae.map import composed_brenier
from lid_vae.map.coupling import AdditiveCouplings

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--steps", type=int, default=1500)
parser.add_argument("--output", type=Path, default=Path("grid-of-maps.png"))
options = parser.parse_args()


def aim(u: torch.Tensor) -> torch.Tensor:
    """A whirl: every circle turned, the outer ones by more."""
    angle = 0.6 * u.norm(dim=-1)
    cos, sin = angle.cos(), angle.sin()
    return torch.stack([cos * u[..., 0] - sin * u[..., 1], sin * u[..., 0] + cos * u[..., 1]], -1)


def fit(map_: nn.Module) -> float:
    """Towards the aim, by squared error; the root of its mean at the end."""
    optimizer = torch.optim.Adam(map_.parameters(), lr=0.01)
    for _ in range(options.steps):
        u = 3 * torch.rand(256, 2) - 1.5
        loss = (map_(u) - aim(u)).square().sum(-1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss.item() ** 0.5


torch.manual_seed(0)
maps = {
    "Brenier map": composed_brenier(2, 2, width=64, hidden_layers=1, depth=1),
    "two shears": AdditiveCouplings(2, 2, 64, bound=1.0),
    "polar map: two shears, then a Brenier map": composed_brenier(
        2, 2, width=64, hidden_layers=1, depth=1, shears=2, shear_bound=1.0
    ),
}
line = torch.linspace(-1.5, 1.5, 200)
levels = torch.linspace(-1.5, 1.5, 13)
grid = [torch.stack([level.expand(200), line], -1) for level in levels]
grid += [torch.stack([line, level.expand(200)], -1) for level in levels]

figure, axes = plt.subplots(1, 4, figsize=(13, 3.5), layout="constrained")
drawn = {"the aim": aim, **maps}
for axis, (name, map_) in zip(axes, drawn.items(), strict=True):
    error = f"\noff by {fit(map_):.2f}" if isinstance(map_, nn.Module) else ""
    with torch.no_grad():
        for number, points in enumerate(grid):
            image = map_(points)
            axis.plot(*image.T, color="#332288" if number < len(levels) else "#CC6677", linewidth=0.9)
    axis.set_title(name + error, fontsize=10)
    axis.set_aspect("equal")
    axis.set_axis_off()
    print(name, error.strip())
figure.savefig(options.output, dpi=110)
