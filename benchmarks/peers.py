"""Examples per second of training on images, beside pythae's trainer and a bare PyTorch loop with a DataLoader.

    pip install pythae && LID_VAE_DATA=... python benchmarks/peers.py
    python benchmarks/peers.py --device cuda
    python benchmarks/peers.py --data digits --turns 3 --seeds 2        # a quick look

One architecture for all, pythae's default MLP: 784 - 512 - (10, 10) and 10 - 512 - 784 with ReLU, batch 100, Adam,
Bernoulli likelihood of grey values. Ten seeds are one stack here and ten runs one after the other elsewhere. Each
trains five batches at a turn; medians over the turns. Where pythae is not installed, ratios are to the bare loop.
"""

import importlib.util
import tempfile
import warnings
from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from bench import Seconds, Step, TakingTurns, begin, by_lightning, options_of, publish, table
from seeds import configurations, ensemble
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lid_vae.run.build import build_data

BATCH, LATENT, WIDTH = 100, 10, 512
BATCHES = 5  # of a turn
SAMPLES = 10  # of the importance-weighted bound
PYTHAE = importlib.util.find_spec("pythae") is not None
PEER = "pythae" if PYTHAE else "bare loop"  # with which all are compared


class BareVAE(nn.Module):
    """The same network, written down as in a tutorial."""

    def __init__(self, pixels: int, samples: int) -> None:
        super().__init__()
        self.samples = samples
        self.encoder = nn.Sequential(nn.Linear(pixels, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 2 * LATENT))
        self.decoder = nn.Sequential(nn.Linear(LATENT, WIDTH), nn.ReLU(), nn.Linear(WIDTH, pixels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Minus the bound, the mean over the batch."""
        mean, log_variance = self.encoder(x).chunk(2, -1)
        noise = torch.randn(self.samples, *mean.shape, device=x.device)
        z = mean + (0.5 * log_variance).exp() * noise
        logits = self.decoder(z)
        likelihood = -F.binary_cross_entropy_with_logits(logits, x.expand_as(logits), reduction="none").sum(-1)
        if self.samples == 1:
            kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(-1)
            return (kl - likelihood[0]).mean()
        weight = likelihood - 0.5 * (z.square() - noise.square() - log_variance).sum(-1)
        return -torch.logsumexp(weight, 0).mean()


def bare(x: torch.Tensor, samples: int, device: torch.device) -> Step:
    """A loop with a DataLoader, batch after batch."""
    model = BareVAE(x.shape[1], samples).to(device)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    loader = DataLoader(TensorDataset(x[: BATCH * BATCHES]), batch_size=BATCH, shuffle=True)

    def step() -> None:
        for (rows,) in loader:
            loss = model(rows.to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return step


def pythae(x: torch.Tensor, shape: tuple[int, int], samples: int, device: torch.device) -> Step:
    """An epoch of pythae's trainer over as many batches."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pythae.data.datasets import BaseDataset
        from pythae.models import IWAE, VAE, IWAEConfig, VAEConfig
        from pythae.trainers import BaseTrainer, BaseTrainerConfig

    sizes = {"input_dim": (1, *shape), "latent_dim": LATENT, "reconstruction_loss": "bce"}
    model = VAE(VAEConfig(**sizes)) if samples == 1 else IWAE(IWAEConfig(**sizes, number_samples=samples))
    images = x[: BATCH * BATCHES].view(-1, 1, *shape)
    trainer = BaseTrainer(
        model,
        BaseDataset(images, torch.zeros(len(images))),
        training_config=BaseTrainerConfig(
            output_dir=tempfile.mkdtemp(),
            per_device_train_batch_size=BATCH,
            num_epochs=1,
            learning_rate=1e-3,
            no_cuda=device.type == "cpu",
        ),
    )
    trainer.prepare_training()
    trainer.callback_handler.callbacks = []  # its progress bar would be timed too
    return lambda: trainer.train_step(1)


def measure(name: str, samples: int, turns: int, seeds: int, device: torch.device) -> Mapping[str, tuple[float, float]]:
    """Examples per second and per processor second (on a GPU per second too) of each, from turns of five batches."""
    objective = "objective=elbo" if samples == 1 else f"objective=importance_weighted objective.samples={samples}"
    options = (
        f"model=vae data={name} data.binarise=none data.batch_size={BATCH} family=gaussian latent_dimension={LATENT} "
    )
    options += f"width={WIDTH} map.depth=1 map.hidden_layers=1 encoder.hidden_layers=1 gradient_clip=null {objective}"
    configs = configurations(options.split(), seeds)
    data = build_data(configs[0]["data"])
    x = data.training_array()
    peers: dict[str, Callable[[], Step]] = {"bare loop": lambda: bare(x, samples, device)}
    if PYTHAE:
        peers["pythae"] = lambda: pythae(x, data.image_shape, samples, device)
    one = TakingTurns("ours, one seed", lambda: {who: peers[who]() for who in peers}, BATCHES)
    alone = by_lightning(*ensemble(configs[:1], data, device), turns, one)
    found = {name: speed(seconds) for name, seconds in alone.items()}
    together = f"ours, {seeds} seeds"
    ten = TakingTurns(together, lambda: {"peer again": peers[PEER]()}, BATCHES)
    both = by_lightning(*ensemble(configs, data, device), turns, ten)
    # Against the peer of its own turns, since the machine may have changed its mind meanwhile.
    wall, processor = (
        seeds * ours * before / again
        for ours, before, again in zip(speed(both[together]), found[PEER], speed(both["peer again"]), strict=True)
    )
    found[together] = wall, processor
    return found


def speed(seconds: Seconds) -> tuple[float, float]:
    """Examples per second of a turn, wall clock and processor, of one model."""
    return BATCH * BATCHES / seconds.median_wall, BATCH * BATCHES / seconds.processor


def main() -> None:
    options = options_of(__doc__, turns=40, seeds=10, data="mnist").parse_args()
    device = begin(options)
    clocks = ["second", "processor second"] if device.type == "cpu" else ["second"]
    rows = []
    for name, samples in (("VAE", 1), (f"IWAE, {SAMPLES} samples", SAMPLES)):
        found = measure(options.data, samples, options.turns, options.seeds, device)
        for who, speeds in found.items():
            cells = [(f"{each:.0f}", f"{each / peer:.2f}") for each, peer in zip(speeds, found[PEER], strict=True)]
            rows.append([name, who, *(cell for pair in cells[: len(clocks)] for cell in pair)])
    header = [word for clock in clocks for word in (f"examples per {clock}", f"over {PEER}")]
    lines = table(["model", "trainer", *header], rows)
    if not PYTHAE:
        lines += ["", "pythae is not installed, and has no part here: pip install pythae."]
    publish(f"Training on {options.data} beside pythae", options, lines)


if __name__ == "__main__":
    main()
