"""Start-up time and peak memory: of the commands, of a stack of seeds, and of the importance-sampled log-likelihood.

    python benchmarks/overhead.py --threads 1

Each measurement is a process of its own. Lightning's share of a step is in benchmarks/seeds.py.
"""

import subprocess
import sys

from bench import ROOT, options_of, process_seconds, publish, table

MEASURED = """
import resource, sys, time
sys.path[:0] = [{root!r}, {root!r} + "/benchmarks"]
import torch
torch.set_num_threads({threads})
from seeds import configurations, modules, ensemble, stacked
from lid_vae.build import build_data
from lid_vae.memory import keep_freed_memory
from lid_vae.module.evaluator import Evaluator
keep_freed_memory()
{body}
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, time.process_time())
"""
EVALUATION = """
cfgs = configurations(["model=lidgmvae", "data=mnist"], 1)
data = build_data(cfgs[0])
(module,) = modules(cfgs, data)
evaluator = Evaluator(module.vae, module.infer, {samples}, data.label_count, with_w={with_w}, by_dimension=True)
left = {examples}
for batch in data.batches("test"):
    if left > 0:
        evaluator.update(batch.x[:left], batch.y[:left])
    left -= len(batch.x)
evaluator.compute()
"""
STACK = """
cfgs = configurations(["model=lidgmvae", "data={data}"], {seeds})
step = stacked(cfgs, build_data(cfgs[0]))
for _ in range(3):
    step()
"""
# S, examples, and whether the information of w (N^2 densities, in pieces) is measured too.
EVALUATIONS = ((5, 200, True), (50, 200, True), (500, 200, True), (5000, 200, True), (5, 10_000, True))


def process(body: str, threads: int) -> tuple[float, float]:
    """Peak memory in MiB and processor seconds of a process."""
    source = MEASURED.format(root=str(ROOT), threads=threads, body=body)
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    memory, seconds = done.stdout.split()[-2:]
    return float(memory), float(seconds)


def command(*arguments: str) -> tuple[float, float]:
    """Wall-clock and processor seconds of a command; the least of three."""
    times = [process_seconds(arguments) for _ in range(3)]
    return min(wall for wall, _ in times), min(used for _, used in times)


def main() -> None:
    options = options_of(__doc__).parse_args()
    starts = {
        "python -c 'import torch'": command("-c", "import torch"),
        "python -c 'import pytorch_lightning'": command("-c", "import pytorch_lightning"),
        "python train.py --help": command("train.py", "--help"),
        "python -c 'import lid_vae.experiment'": command("-c", "import lid_vae.experiment"),
    }
    lines = ["Start-up, seconds (least of three):", ""]
    lines += table(
        ["command", "wall", "processor"], [[f"`{c}`", f"{w:.1f}", f"{p:.1f}"] for c, (w, p) in starts.items()]
    )
    nothing, _ = process("", options.threads)
    rows = []
    for data in ("pinwheel", "mnist"):
        for seeds in (1, 10):
            memory, _ = process(STACK.format(data=data, seeds=seeds), options.threads)
            rows.append([data, seeds, f"{memory:.0f}", f"{memory - nothing:.0f}"])
    lines += ["", f"Peak memory of LIDGMVAE's training steps, MiB; {nothing:.0f} with the program loaded:", ""]
    lines += table(["data", "seeds in the stack", "peak", "above the program"], rows)
    rows = []
    for samples, examples, with_w in EVALUATIONS:
        body = EVALUATION.format(samples=samples, examples=examples, with_w=with_w)
        memory, seconds = process(body, options.threads)
        rows.append([samples, examples, f"{memory:.0f}", f"{memory - nothing:.0f}", f"{seconds:.0f}"])
    lines += ["", "Peak memory of the evaluation of LIDGMVAE on MNIST (64 latents, width 512), MiB:", ""]
    lines += table(["importance samples", "examples", "peak", "above the program", "processor seconds"], rows)
    publish("Start-up and peak memory", options, lines)


if __name__ == "__main__":
    main()
