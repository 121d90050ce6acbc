"""Cost of one optimisation step of LIDGMVAE over that of gmvae, equal widths and hidden layers, in one process.

    python benchmarks/step_cost.py                   # MNIST's shape: 64 -> 784, width 512, 8 hidden layers, batch 128
    python benchmarks/step_cost.py --rounds 5        # a quick look
    python benchmarks/step_cost.py --compile         # each by torch.compile too; needs a C++ compiler
    python benchmarks/step_cost.py --compile default reduce-overhead --device cuda    # the second: CUDA graphs

``autograd`` is the same Brenier map with its gradient taken by autograd.grad(create_graph=True).
"""

from collections.abc import Callable

import torch
from bench import begin, options_of, publish, table, take_turns
from torch import nn

from lid_vae.likelihood import BernoulliLikelihood
from lid_vae.map import ComposedMap, Map, composed_brenier, composed_gradient_network, counterpart_mlp
from lid_vae.map.convex.monotone import MonotoneMap
from lid_vae.noise import generator
from lid_vae.objective import ELBO
from lid_vae.posterior import AmortizedPosterior, MLPEncoder, RealNVP
from lid_vae.prior import GaussianMixture
from lid_vae.run.plan import COMPILE_MODES
from lid_vae.vae import Autoencoder

FEATURES, LATENT, CATEGORIES = 784, 64, 10


class AutogradMap(Map):
    """A composed map whose maps differentiate their potentials by autograd, as the public implementations do."""

    def __init__(self, map_: ComposedMap) -> None:
        super().__init__()
        self.map = map_
        self.in_features, self.out_features = map_.in_features, map_.out_features
        self.hidden_layers = map_.hidden_layers

    def forward(self, u: torch.Tensor) -> torch.Tensor:
        for map_, lift in self.map.stages():
            u = self._gradient(map_, u if lift is None else lift(u))
        return u

    def initialise_bias(self, bias: torch.Tensor) -> None:
        self.map.initialise_bias(bias)

    def align(self, data: torch.Tensor) -> None:
        self.map.align(data)

    @staticmethod
    def _gradient(map_: MonotoneMap, u: torch.Tensor) -> torch.Tensor:
        u = u if u.requires_grad else u.requires_grad_()
        return torch.autograd.grad(map_.potential(u).sum(), u, create_graph=True)[0]


def build(make_map: Callable[[], Map], width: int, mixture: str) -> Autoencoder:
    torch.manual_seed(0)
    categories = CATEGORIES if mixture == "enumerate" else None
    posterior = AmortizedPosterior(MLPEncoder((FEATURES,), width), LATENT, [RealNVP(LATENT, width)], categories)
    return Autoencoder(GaussianMixture(CATEGORIES, LATENT), BernoulliLikelihood(make_map()), posterior)


def make_step(vae: Autoencoder, batch: int, device: torch.device, mode: str | None = None) -> Callable[[], None]:
    rng = generator("benchmark")
    noise = vae.posterior.draw_noise(1, batch, rng).to(device)
    x = torch.bernoulli(torch.full((batch, FEATURES), 0.2), generator=rng).to(device)
    vae.to(device)
    optimizer = torch.optim.Adam(vae.parameters(), 1e-3, fused=True)
    objective = ELBO()

    def bound() -> torch.Tensor:
        return objective(vae, x, vae.posterior.distribution(vae.posterior.encode(x)), noise)

    fast = torch.compile(bound, mode=mode) if mode else bound

    def step() -> None:
        loss = -fast().mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(vae.parameters(), 20.0)
        optimizer.step()

    return step


def main() -> None:
    parser = options_of(__doc__, width=512, batch=128, rounds=25)
    parser.add_argument("--hidden-layers", type=int, default=4, help="of each of the two maps")
    parser.add_argument("--mixtures", nargs="+", default=["conditional", "enumerate"])
    parser.add_argument(
        "--compile", nargs="*", choices=COMPILE_MODES, help="each compiled too, in these modes (minutes)"
    )
    options = parser.parse_args()
    device = begin(options)
    size = {"width": options.width, "hidden_layers": options.hidden_layers, "depth": 2}
    maps: dict[str, Callable[[], Map]] = {
        "gmvae (MLP)": lambda: counterpart_mlp(LATENT, FEATURES, **size),
        "lidgmvae (Brenier, closed form)": lambda: composed_brenier(LATENT, FEATURES, skips="none", **size),
        "lidgmvae (gradient network)": lambda: composed_gradient_network(LATENT, FEATURES, **size),
        "lidgmvae (Brenier, autograd)": lambda: AutogradMap(composed_brenier(LATENT, FEATURES, skips="none", **size)),
    }
    modes = [] if options.compile is None else options.compile or COMPILE_MODES[:1]
    rows = []
    for mixture in options.mixtures:
        steps = {}
        for name, make in maps.items():
            steps[name, "eager"] = make_step(build(make, options.width, mixture), options.batch, device)
            for mode in modes if "autograd" not in name else []:  # which no compiler differentiates twice
                steps[name, mode] = make_step(build(make, options.width, mixture), options.batch, device, mode)
        found = take_turns(steps, options.rounds, warm=3)  # type: ignore[arg-type]
        for (name, kind), seconds in found.items():  # type: ignore[misc]
            base = found["gmvae (MLP)", kind].processor  # type: ignore[index]
            rows.append([mixture, name, kind, f"{1e3 * seconds.processor:.1f}", f"{seconds.processor / base:.2f}"])
    clock = "processor" if device.type == "cpu" else "wall"
    header = ["posterior", "model", "", f"ms a step ({clock}, median)", "over gmvae, both eager or both compiled alike"]
    note = (
        f"{LATENT} latents, {FEATURES} features, width {options.width}, two maps of {options.hidden_layers} hidden "
        f"layers (the MLP as many in all), batch {options.batch}, {CATEGORIES} categories, RealNVP."
    )
    publish("Step cost", options, [note, "", *table(header, rows)])


if __name__ == "__main__":
    main()
