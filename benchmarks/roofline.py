"""Floating-point operations of a training step, counted, over the measured matrix-multiply peak of the machine.

    python benchmarks/roofline.py                       # MNIST's shape, batch 1000, width 1024, seeds 1 and 4
    python benchmarks/roofline.py --width 256 --batch 128
    python benchmarks/roofline.py --device cuda --seeds 10

Counted by torch.utils.flop_counter: matrix products alone, forward and backward, two operations for each multiply-add.
The peak is the best of some square products of 1024 and 2048 rows (on a GPU 4096 and 8192), beside each step.
"""

import torch
from bench import begin, now, options_of, publish, since, table, take_turns
from torch.utils.flop_counter import FlopCounterMode


def peak(device: torch.device) -> float:
    """Floating-point operations per second of wall-clock time."""
    best = 0.0
    for size in (1024, 2048) if device.type == "cpu" else (4096, 8192):
        a, b = torch.randn(2, size, size, device=device)
        for _ in range(4):
            start = now()
            a @ b
            best = max(best, 2 * size**3 / since(start)[0])
    return best


def main() -> None:
    from curves import forward_backward  # builds stacks of any shape

    options = options_of(__doc__, width=1024, batch=1000, rounds=3, seeds=4).parse_args()
    device = begin(options)
    rows = []
    for model in ("gmvae", "lidgmvae"):
        for seeds in (1, options.seeds):
            sizes = {"width": options.width, "batch": options.batch, "dimension": 784, "latent": 64, "categories": 10}
            step = forward_backward(model, seeds=seeds, **sizes, layers=2, maps=2, device=device)
            with FlopCounterMode(display=False) as counter:
                step()
            seconds = take_turns({"step": step}, options.rounds, warm=1)["step"].wall
            # The peak beside each step: a shared machine is not always as fast.
            rate, most = counter.get_total_flops() / seconds, peak(device)
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
