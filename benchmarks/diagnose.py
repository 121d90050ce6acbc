"""What ``lid_vae.diagnose`` takes of a VAE in plain PyTorch, and ``import lid_vae``: ``python benchmarks/diagnose.py``.

The VAE is an untrained one of two layers each way on random binary images: the work does not depend on the values.
"""

import resource
import statistics
import sys
import time

import torch
from bench import options_of, process_seconds, publish, table
from torch import nn
from torch.distributions import Bernoulli, Normal

import lid_vae

GIB = 2**20 if sys.platform == "linux" else 2**30  # in the unit of ``ru_maxrss``


def main() -> None:
    sizes = {"examples": 10_000, "latents": 32, "width": 256, "pixels": 784, "samples": 100, "rounds": 5}
    options = options_of(__doc__, **sizes).parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    x = (torch.rand(options.examples, options.pixels) < 0.3).float()
    encoder = nn.Sequential(
        nn.Linear(options.pixels, options.width), nn.ReLU(), nn.Linear(options.width, 2 * options.latents)
    )
    decoder = nn.Sequential(
        nn.Linear(options.latents, options.width), nn.ReLU(), nn.Linear(options.width, options.pixels)
    )

    def encode(x: torch.Tensor) -> Normal:
        mean, log_variance = encoder(x).chunk(2, -1)
        return Normal(mean, (0.5 * log_variance).exp())

    def log_likelihood(x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        return Bernoulli(logits=decoder(z), validate_args=False).log_prob(x).sum(-1)

    prior = Normal(torch.zeros(options.latents), torch.ones(options.latents))
    begun = time.perf_counter()
    lid_vae.diagnose(encode=encode, log_likelihood=log_likelihood, prior=prior, data=x, samples=options.samples)
    seconds = time.perf_counter() - begun
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / GIB
    imports = {
        words: statistics.median(process_seconds(["-c", words])[0] for _ in range(options.rounds))
        for words in ("pass", "import lid_vae", "import torch")
    }
    size = (
        f"{options.examples:,} examples of {options.pixels}, {options.latents} latents, decoder "
        f"{options.latents}-{options.width}-{options.pixels}, {options.samples} samples"
    )
    said = [
        *table(
            [size, "seconds", "peak GiB of the process"],
            [["`lid_vae.diagnose`", f"{seconds:.1f}", f"{memory:.2f}"]],
        ),
        "",
        *table(
            ["a bare interpreter and", "seconds, start to end"],
            [[f"`{words}`", f"{found:.3f}"] for words, found in imports.items()],
        ),
    ]
    publish("A diagnosis in one call", options, said)


if __name__ == "__main__":
    main()
