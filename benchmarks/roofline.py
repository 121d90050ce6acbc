"""Floating-point operations of a training step, counted, over the measured matrix-multiply peak of the machine.

    python benchmarks/roofline.py                       # MNIST's shape, batch 1000, width 1024, seeds 1 and 4
    python benchmarks/roofline.py --width 256 --batch 128

Counted by torch.utils.flop_counter: matrix products alone, forward and backward, two operations for each multiply-add.
The peak is the best of some square products of 1024 and 2048 rows, beside each step.
"""

import time

import torch
from bench import options_of, publish, table, take_turns
from torch.utils.flop_counter import FlopCounterMode

from lid_vae.memory import keep_freed_memory


def peak() -> float:
    """Floating-point operations per second of wall-clock time."""
    best = 0.0
    for size in (1024, 2048):
        a, b = torch.randn(size, size), torch.randn(size, size)
        for _ in range(4):
            start = time.perf_counter()
            a @ b
            best = max(best, 2 * size**3 / (time.perf_counter() - start))
    return best


def main() -> None:
    from curves import forward_backward  # builds stacks of any shape

    options = options_of(__doc__, width=1024, batch=1000, rounds=3).parse_args()
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    rows = []
    for model in ("gmvae", "lidgmvae"):
        for seeds in (1, 4):
            sizes = {"width": options.width, "batch": options.batch, "dimension": 784, "latent": 64, "categories": 10}
            step = forward_backward(model, seeds=seeds, **sizes, layers=2, maps=2)
            with FlopCounterMode(display=False) as counter:
                step()
            seconds = take_turns({"step": step}, options.rounds, warm=1)["step"].wall
            # The peak beside each step: a shared machine is not always as fast.
            rate, most = counter.get_total_flops() / seconds, peak()
            share = f"{rate / most:.0%}"
            counted = f"{counter.get_total_flops() / 1e9:.1f}"
            rows.append(
                [model, seeds, counted, f"{1e3 * seconds:.0f}", f"{rate / 1e9:.0f}", f"{most / 1e9:.0f}", share]
            )
    lines = table(["model", "seeds", "GFLOP a step", "ms (least)", "GFLOP/s", "peak GFLOP/s", "of the peak"], rows)
    shape = f"64 -> 784, width {options.width}, batch {options.batch}, two maps of two hidden layers, RealNVP."
    publish("Counted operations over the peak", options, [shape, "", *lines])


if __name__ == "__main__":
    main()
