"""What a GPU makes of it, in eight minutes: steps plain, captured and compiled, peers, the literal command, equality.

    python benchmarks/gpu.py --report gpu.md            # on any CUDA machine; pip install pythae sets a peer beside
    python benchmarks/gpu.py --smoke                    # all of it on a CPU, at its smallest size: whether it runs

Each section is printed as it ends, and the failure of one leaves the others. After ``--limit`` seconds none is begun.
It runs from a copy of the tree, with what ``pip install -e .`` installs; without MNIST (``LID_VAE_DATA``) it takes
random images of that size, which cost the same.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from bench import ROOT, TakingTurns, begin, by_lightning, options_of, process_seconds, publish, table
from seeds import configurations, ensemble, modules, together

from lid_vae.run.build import build_data
from lid_vae.run.record import evaluate_split
from lid_vae.train.ensemble import MemberData
from lid_vae.train.step.captured import RECORDS, Captured
from lid_vae.train.step.take_step import take_step

TINY = ["width=8", "data.train_size=200", "data.valid_size=50", "data.test_size=60", "data.batch_size=50"]
# pythae's default network, as in benchmarks/peers.py.
PEER = [
    "model=vae", "data.binarise=none", "data.batch_size=100", "family=gaussian", "latent_dimension=10", "width=512",
    "map.depth=1", "map.hidden_layers=1", "encoder.hidden_layers=1", "gradient_clip=null",
]  # fmt: skip
DEEP = ["data.batch_size=128", "hidden_layers=2"]


class Bench:
    """The sections, on one ``device``; ``smoke``: at their smallest size."""

    def __init__(self, device: torch.device, smoke: bool, folder: Path) -> None:
        self.device, self.smoke, self.folder = device, smoke, folder
        self.images = self._images()

    def steps(self) -> list[str]:
        """Milliseconds of a step under Lightning, the least of its turns."""
        rows = []
        cases = [("pythae's VAE", [*self.images, *PEER])]
        cases += [
            (f"{model}, MNIST", [*self.images, f"model={model}", *DEEP]) for model in ("vae", "gmvae", "lidgmvae")
        ]
        cases += [(f"{model}, MNIST", [*self.images, f"model={model}", *DEEP]) for model in ("sa_vae", "lagging_vae")]
        cases += [(f"{model}, pinwheel", ["data=pinwheel", f"model={model}"]) for model in ("gmvae", "lidgmvae")]
        for name, options in cases[-2:] if self.smoke else cases:
            for seeds in (1, 2) if self.smoke else (1, 10):
                ways = [self._time(options, seeds, capture) for capture in (False, True)]
                rows.append([name, seeds, *(f"{1e3 * seconds:.2f}" for seconds, _ in ways), ways[1][1]])
        return table(["step", "seeds", "ms, one by one", "ms, captured", "captured"], rows)

    def compiled(self) -> list[str]:
        """The time to the first step, and of a step, under torch.compile and the capture."""
        options = ["data=pinwheel", "model=gmvae"] if self.smoke else [*self.images, "model=lidgmvae", *DEEP]
        start = time.perf_counter()
        seconds, captured = self._time(options, 2 if self.smoke else 10, True, "default")
        whole = time.perf_counter() - start
        return table(
            ["step", "ms", "all of it, s", "captured"],
            [[options[-1], f"{1e3 * seconds:.2f}", f"{whole:.0f}", captured]],
        )

    def equality(self) -> list[str]:
        """After 50 steps in 64 bits: the largest difference of a parameter, over its tensor's largest number."""
        rows = []
        for model in ("gmvae",) if self.smoke else ("vae", "gmvae", "lidgmvae", "sa_vae"):
            for seeds in (1, 2):
                plain, captured = (self._trained(model, seeds, self.device, way) for way in (False, True))
                cpu = self._trained(model, seeds, torch.device("cpu"), False)
                rows.append([model, seeds, f"{apart(plain, captured):.1e}", f"{apart(plain, cpu):.1e}"])
        return table(["model", "seeds", "captured - plain", "GPU - CPU"], rows)

    def evaluation(self) -> list[str]:
        """Of the test split by 100 importance samples, and the most memory."""
        configs = configurations([*(TINY if self.smoke else []), *self.images, "model=lidgmvae"], 1)
        data = build_data(configs[0]["data"])
        (module,) = modules(configs, data, self.device)
        start = time.perf_counter()
        evaluate_split(module, data, "test", 4 if self.smoke else 100)
        seconds = time.perf_counter() - start
        peak = torch.cuda.max_memory_allocated() / 2**20 if self.device.type == "cuda" else float("nan")
        known = f"{peak:.0f}" if peak == peak else "0"
        return table(["examples", "s", "peak, MiB"], [[len(data.test), f"{seconds:.1f}", known]])

    def literal(self) -> list[str]:
        """From the key press to the finished table: ten seeds of LIDGMVAE, 20,000 images, 50 epochs, no event files."""
        return self._literal("none")

    def pictured(self) -> list[str]:
        """The same with TensorBoard, whose pictures of each fourth validation are drawn by processes of their own."""
        return self._literal("default")

    def _literal(self, logger: str) -> list[str]:
        options = [*self.images, "model=lidgmvae", "-m", f"paths.runs={self.folder / logger}", f"logger={logger}"]
        if self.smoke:
            options += [*TINY, "seed=0-1", "trainer.max_epochs=1", "samples=4", "callbacks.panels.every=0"]
        else:
            options += ["seed=0-9", "trainer.max_epochs=50", "data.train_size=20000"]
        words = ["train.py", *options, f"trainer.accelerator={'gpu' if self.device.type == 'cuda' else 'cpu'}"]
        wall, _ = process_seconds(words)
        return table(["command", "s"], [[f"train.py model=lidgmvae logger={logger} -m seed=0-9", f"{wall:.0f}"]])

    def peers(self) -> list[str]:
        """benchmarks/peers.py."""
        return self._script(
            "peers.py", "--turns", "1" if self.smoke else "20", *(["--data", "digits"] if self.smoke else [])
        )

    def roofline(self) -> list[str]:
        """benchmarks/roofline.py: the share of the measured peak of 32-bit products."""
        return self._script(
            "roofline.py",
            "--seeds",
            "2" if self.smoke else "10",
            *(["--width", "8", "--batch", "8"] if self.smoke else []),
        )

    def tests(self) -> list[str]:
        """The tests that need a GPU."""
        words = ["-m", "pytest", "-m", "gpu", "-n0", "-q", *(["--collect-only"] if self.smoke else [])]
        done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True)
        last = [line for line in done.stdout.splitlines() if line.strip()][-3:]
        return ["    " + line for line in last]

    def _images(self) -> list[str]:
        data = Path(os.environ.get("LID_VAE_DATA", ROOT / "data"))
        if (data / "mnist").is_dir() and not self.smoke:
            return ["data=mnist", "data.train_size=20000"]
        path = self.folder / "images.npz"
        count = 400 if self.smoke else 40_000
        draws = np.random.default_rng(0)
        images = draws.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        np.savez(path, x=images, y=draws.integers(0, 10, count))
        return ["data=array", "likelihood=bernoulli", f"data.path={path}"]

    def _time(
        self, options: Sequence[str], seeds: int, capture: bool, compile_mode: str | None = None
    ) -> tuple[float, str]:
        small = [*TINY, "data.per_class=60"] if self.smoke and "data=pinwheel" in options else []
        configs = configurations([*(word for word in small if "train_size" not in word), *options], seeds)
        training, data = ensemble(configs, build_data(configs[0]["data"]), self.device)
        training.capture, training.compile_mode = capture, compile_mode
        turns = TakingTurns("ours", dict, 2 if self.smoke else 20)
        wall = by_lightning(training, data, 2 if self.smoke else 8, turns)["ours"].wall / turns.length
        captured = turns.captured
        kinds = [] if captured is None else [capture.adam is not None for capture in captured.captures.values()]
        said = "no" if not kinds else f"yes{', with Adam' * all(kinds)}, in spans of {turns.longest}"
        return wall, said if captured is None or captured.obstacle is None else f"no: {captured.obstacle}"

    def _trained(self, model: str, seeds: int, device: torch.device, capture: bool) -> list[torch.Tensor]:
        options = ["data=pinwheel", f"model={model}", "width=16", "optimizer.lr=0.001", "data.per_class=200"]
        configs = configurations([*options, "data.valid_size=50", "data.test_size=50"], seeds)
        data = build_data(configs[0]["data"])
        made = together([module.double() for module in modules(configs, data, device)])
        (optimizer,) = made.optimizers([None] * seeds)
        stream = MemberData(data, list(range(seeds))).stream()
        record = RECORDS.get(device.type) if capture else None
        bound = made.forward if record is None else Captured(made, made.forward, record)

        def minimise(loss: torch.Tensor, update: object) -> None:
            if not isinstance(bound, Captured) or not bound.take_gradients():
                made.differentiate(loss, "all", torch.autograd.backward)
            optimizer.step()

        for number in range(5 if self.smoke else 50):

            def batch(draw: int, number: int = number) -> tuple[torch.Tensor, torch.Tensor]:
                x = stream.batch(number, draw).x
                # The same draws on every device.
                noise = [
                    m.vae.posterior.draw_noise(m.objective.samples, x.shape[-2], torch.Generator().manual_seed(number))
                    for m in made.modules
                ]
                return x.double(), (noise[0] if seeds == 1 else torch.stack(noise)).to(device).double()

            take_step(made.inference.updates(), bound, minimise, *batch(0), batch)
        return [leaf.detach().cpu() for leaf in made.groups["all"]]

    def _script(self, name: str, *words: str) -> list[str]:
        command = [sys.executable, str(ROOT / "benchmarks" / name), "--device", self.device.type, *words]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
        if done.returncode:
            raise RuntimeError(done.stderr.strip().splitlines()[-1])
        return [line for line in done.stdout.splitlines() if line.startswith("|")]


def apart(one: Sequence[torch.Tensor], other: Sequence[torch.Tensor]) -> float:
    """The largest difference of numbers, over the largest of their tensor."""
    return max(float((a - b).abs().max() / b.abs().max().clamp_min(1e-12)) for a, b in zip(one, other, strict=True))


def run(name: str, section: Callable[[], list[str]]) -> list[str]:
    """The lines of a ``section``, printed; of one that fails, why."""
    start = time.perf_counter()
    try:
        lines = section()
    except Exception as error:
        traceback.print_exc()
        reason = str(error).strip() or "no reason given"
        lines = [f"Failed: {type(error).__name__}: {reason.splitlines()[0][:300]}"]
    what = (section.__doc__ or "").strip()
    text = [f"## {name.capitalize()}", "", what, "", *lines, "", f"({time.perf_counter() - start:.0f} s)", ""]
    print("\n".join(text), flush=True)
    return text


def main() -> None:
    parser = options_of(__doc__, limit=480)
    parser.add_argument("--smoke", action="store_true", help="all of it on a CPU, at its smallest size")
    parser.add_argument("--only", nargs="+", help="these sections alone")
    parser.set_defaults(device="cuda")
    options: argparse.Namespace = parser.parse_args()
    if options.smoke:
        options.device = "cpu"
    elif not torch.cuda.is_available():
        raise SystemExit("benchmarks/gpu.py: there is no CUDA device here. --smoke runs all of it on a CPU.")
    device, start = begin(options), time.perf_counter()
    found: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(device, options.smoke, Path(folder))
        sections = (
            bench.steps,
            bench.equality,
            bench.literal,
            bench.evaluation,
            bench.compiled,
            bench.peers,
            bench.roofline,
            bench.tests,
            bench.pictured,
        )
        for section in sections:
            name = section.__name__
            if options.only and name not in options.only:
                continue
            if time.perf_counter() - start > options.limit:
                found += [f"## {name.capitalize()}", "", f"Not begun: {options.limit} s are over.", ""]
                continue
            found += run(name, section)
    publish("On a GPU" if device.type == "cuda" else "On a GPU: whether it runs, on a CPU", options, found)


if __name__ == "__main__":
    main()
