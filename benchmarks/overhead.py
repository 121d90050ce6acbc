"""Start-up time and peak memory: of the commands, of a stack of seeds, and of the importance-sampled log-likelihood.

    python benchmarks/overhead.py --threads 1
    python benchmarks/overhead.py --threads 1 --whole       # 5,000 samples of 10,000 images too: many minutes
    python benchmarks/overhead.py --quick                   # the smallest of each kind, on digits: whether it runs

Each measurement is a process of its own. Lightning's share of a step is in benchmarks/seeds.py.
"""

import subprocess
import sys

from bench import ROOT, options_of, process_seconds, publish, table

MEASURED = """
import ctypes, sys, time
sys.path[:0] = [{root!r}, {root!r} + "/benchmarks"]
import torch
torch.set_num_threads({threads})
from seeds import bare, configurations, modules
from lid_vae.run.build import build_data
from lid_vae.system.machine_habits import keep_freed_memory
from lid_vae.measure.evaluator import Evaluator
from lid_vae.train.step.seed_measures import SeedMeasures
from lid_vae.train.step.stack import Stack
resident = 0.0

def held(name):
    (line,) = (line for line in open("/proc/self/status") if line.startswith(name))
    return int(line.split()[1]) / 1024

def begin():
    # What has been freed goes back to the system, and the peak begins anew.
    global resident
    ctypes.CDLL(None).malloc_trim(0)
    open("/proc/self/clear_refs", "w").write("5")
    resident = held("VmRSS")

keep_freed_memory()
{body}
print(held("VmHWM") - resident, time.process_time())
"""
EVALUATION = """
configs = configurations(["model={model}", "data={data}", "width={width}"], {seeds})
data = build_data(configs[0]["data"])
made = modules(configs, data)
evaluators = [Evaluator(module.vae, module.infer, {samples}, data.label_count, by_dimension=True) for module in made]
if len(made) > 1:
    SeedMeasures(Stack(made), dict(enumerate(evaluators)))
left = {examples}
begin()
for batch in data.batches("test"):
    if left > 0:
        for evaluator in evaluators:
            evaluator.update(batch.x[:left], batch.y[:left])
    left -= len(batch.x)
for evaluator in evaluators:
    evaluator.compute()
"""
STACK = """
configs = configurations(["model=lidgmvae", "data={data}"], {seeds})
step = bare(configs, build_data(configs[0]["data"]))
for _ in range(3):
    step()
"""
# Importance samples, examples, seeds side by side, model, width.
EVALUATIONS = (
    *((samples, 200, 1, "lidgmvae", 512) for samples in (5, 50, 500, 5000)),
    *((5, examples, 1, "lidgmvae", 512) for examples in (1000, 10_000)),
    *((5, 1000, seeds, "vae", 512) for seeds in (1, 10)),
)
WHOLE = (5000, 10_000, 1, "vae", 16)
QUICK = ((5, 20, 2, "vae", 16),)


def process(body: str, threads: int) -> tuple[float, float]:
    """Peak memory in MiB, from its start or from ``begin()``, and processor seconds of a process."""
    source = MEASURED.format(root=str(ROOT), threads=threads, body=body)
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    memory, seconds = done.stdout.split()[-2:]
    return float(memory), float(seconds)


def command(*arguments: str, rounds: int) -> tuple[float, float]:
    """Wall-clock and processor seconds of a command; the least of some."""
    times = [process_seconds(arguments) for _ in range(rounds)]
    return min(wall for wall, _ in times), min(used for _, used in times)


def main() -> None:
    parser = options_of(__doc__)
    parser.add_argument("--whole", action="store_true", help="also 5,000 samples of 10,000 images (narrow)")
    parser.add_argument("--quick", action="store_true", help="the smallest of each kind, on digits")
    options = parser.parse_args()
    rounds, images = (1, "digits") if options.quick else (3, "mnist")
    commands = {
        "python -c 'import torch'": ("-c", "import torch"),
        "python -c 'import pytorch_lightning'": ("-c", "import pytorch_lightning"),
        "python train.py --help": ("train.py", "--help"),
        "python -c 'import lid_vae.run.fit'": ("-c", "import lid_vae.run.fit"),
    }
    if options.quick:
        commands = dict(list(commands.items())[:1])
    starts = {name: command(*words, rounds=rounds) for name, words in commands.items()}
    lines = [f"Start-up, seconds (least of {rounds}):", ""]
    lines += table(
        ["command", "wall", "processor"], [[f"`{c}`", f"{w:.1f}", f"{p:.1f}"] for c, (w, p) in starts.items()]
    )
    nothing, _ = process("", options.threads)
    rows = []
    for data in (images,) if options.quick else ("pinwheel", images):
        for seeds in (2,) if options.quick else (1, 10):
            memory, _ = process(STACK.format(data=data, seeds=seeds), options.threads)
            rows.append([data, seeds, f"{memory:.0f}", f"{memory - nothing:.0f}"])
    lines += ["", f"Peak memory of LIDGMVAE's training steps, MiB; {nothing:.0f} with the program loaded:", ""]
    lines += table(["data", "seeds in the stack", "peak", "above the program"], rows)
    rows = []
    evaluations = QUICK if options.quick else EVALUATIONS
    for samples, examples, seeds, model, width in (*evaluations, *([WHOLE] if options.whole else [])):
        body = EVALUATION.format(data=images, samples=samples, examples=examples, seeds=seeds, model=model, width=width)
        memory, seconds = process(body, options.threads)
        rows.append([f"{samples:,}", f"{examples:,}", seeds, model, width, f"{memory:.0f}", f"{seconds:.0f}"])
    header = ["importance samples", "examples", "seeds", "model", "width", "MiB", "processor seconds"]
    lines += [
        "",
        f"Peak memory of the evaluation on {images}, above what data and model hold:",
        "",
        *table(header, rows),
    ]
    publish("Start-up and peak memory", options, lines)


if __name__ == "__main__":
    main()
