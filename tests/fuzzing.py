"""Command lines that nobody would type on purpose: options of the composed configuration, with values of any kind."""

import os
import resource
import signal
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hypothesis import strategies as st
from omegaconf import OmegaConf
from runs import TINY, Outcome, Programs

from lid_vae.run.store import CONF

__all__ = ["Ending", "commands", "judged", "play"]

# Choices that train in a moment, and from which all others differ by an option.
CHOICES = {
    "model": ["lidgmvae", "lidvae", "lidmvae", "gmvae", "vae", "beta_vae", "sa_vae", "lagging_vae", "bn_vae",
              "il_lidvae", "pretrained_vae", "svae", "lidsvae", "language_model"],
    "data": ["pinwheel", "synthetic_text"],
    "map": ["brenier", "gradient_network", "polar", "anchored", "mlp", "linear", "skip_mlp", "null"],
    "prior": ["standard_normal", "gaussian_mixture", "exponential_family_mixture", "vamp_prior", "null"],
    "likelihood": ["gaussian", "bernoulli", "optimal_gaussian", "autoregressive", "null"],
    "family": ["gaussian", "realnvp", "lstm", "prior", "null"],
    "encoder": ["mlp", "lstm", "convolutional", "null"],
    "normalization": ["batch_norm", "null"],
    "objective": ["elbo", "free_bits", "importance_weighted", "dreg", "cyclical_annealing", "null"],
    "inference": ["amortized", "semi_amortized", "aggressive", "null"],
    "schedule": ["constant", "warmup_cosine", "null"],
    "callbacks": ["default", "early_stopping", "lipschitz_annealing", "null"],
    "measures": ["default", "distortion", "ais", "identifiability", "null"],
    "trainer": ["default", "null"],
    "logger": ["default", "none", "null"],
}  # fmt: skip
# Options that lead out of the folder of a case, or to other processes.
LEFT_OUT = ("paths", "hydra", "data.root", "trainer.accelerator", "trainer.devices", "trainer.num_nodes",
            "trainer.strategy", "choices", "data.path", "data_name")  # fmt: skip
VALUES = (
    "null", "true", "false", "word", "''", "[]", "[1,2]", "{}", "{a:1}", "-1", "0", "1", "2", "3", "0.5", "2.5", "-0.5",
    "1e-30", "1e9", "1e40", "nan", "inf", "-inf", "1000000000000", "-1000000000000", "1" + 30 * "0", "'3'", "???",
    "${nowhere}", "${oc.env:NOT_SET}",
)  # fmt: skip
TARGETS = ("lid_vae.nowhere.X", "lid_vae.prior.StandardNormalPrior", "os", "builtins.dict", "lid_vae.map.MLP", "null",
           "3", "torch.nn.Linear", "lid_vae.data.Pinwheel", "''", "x..y", "torch.optim.SGD")  # fmt: skip
SECONDS = 60


class Built(BaseException):
    """All is built, and the training would begin."""


class TooLong(BaseException):
    """A case takes longer than ``SECONDS``."""


@dataclass(frozen=True)
class Ending:
    """How a case ended: ``kind`` is trained, refused, or what is a defect, with the ``text`` that it left."""

    kind: str
    text: str

    @property
    def sound(self) -> bool:
        return self.kind in ("works", "refused")


@lru_cache(maxsize=1000)
def _paths(choices: tuple[str, ...]) -> tuple[str, ...]:
    """The options that these choices have, groups of options among them."""
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            config = compose("train", [choice for choice in choices if not choice.endswith("=null")])
    finally:
        GlobalHydra.instance().clear()
    return tuple(_walk(OmegaConf.to_container(config, resolve=False)))


def _walk(node: Any, prefix: str = "") -> Iterator[str]:
    for key, value in node.items():
        path = f"{prefix}{key}"
        if not path.startswith(LEFT_OUT):
            yield path
            if isinstance(value, dict):
                yield from _walk(value, f"{path}.")


@st.composite
def commands(draw: st.DrawFn) -> tuple[str, ...]:
    """A few choices, and a few options of theirs with values that may or may not be of their kind."""
    groups = draw(st.lists(st.sampled_from(sorted(CHOICES)), max_size=2, unique=True))
    choices = tuple(f"{group}={draw(st.sampled_from(CHOICES[group]))}" for group in sorted(groups))
    if not any(choice.startswith("data=") for choice in choices):
        texts = any(choice in ("model=svae", "model=lidsvae", "model=language_model") for choice in choices)
        choices += ("data=synthetic_text",) if texts and draw(st.integers(0, 4)) else ()
    paths = _paths(choices)
    given: dict[str, str] = {}
    for path in draw(st.lists(st.sampled_from(paths), min_size=0 if choices else 1, max_size=3, unique=True)):
        pool = TARGETS if path.endswith("_target_") else VALUES
        if path not in CHOICES:  # which are chosen above
            given[path] = draw(st.sampled_from(pool))
    return (*choices, *(f"{path}={value}" for path, value in given.items()))


def tiny(command: tuple[str, ...]) -> tuple[str, ...]:
    """The options that make a case tiny, less those that it gives itself or does not have."""
    given = {word.partition("=")[0] for word in command}
    own = [word for word in TINY if word.partition("=")[0] not in given]
    nulls = {word.partition("=")[0] for word in command if word.endswith("=null") and word.partition("=")[0] in CHOICES}
    own = [word for word in own if word.partition(".")[0] not in nulls]
    if "data=synthetic_text" in command:
        small = ("data.sentences=120", "data.words=20", "data.valid_size=40", "data.test_size=40", "data.length=4")
        own = [word for word in own if not word.startswith("data.")] + [
            word for word in small if word.partition("=")[0] not in given
        ]
    return tuple(own)


def play(command: tuple[str, ...], folder: Path, *, train: bool, memory: int = 0) -> Ending:
    """How the program ends on ``command``, its runs below ``folder``; without ``train`` where training begins."""
    programs = Programs(folder)
    with _stopped(train):
        return judged(lambda: programs.train(*command, tiny=tiny(command)), memory)


def judged(work: Callable[[], Outcome], memory: int = 0, runs: int = 1) -> Ending:
    """How a program ends, called by ``work``, which takes no more ``memory`` (bytes beside what there is; 0: any).

    One of several ``runs`` may say more than a paragraph: of each what became of it.
    """
    try:
        with warnings.catch_warnings(record=True) as warned, time_limit(), memory_limit(memory):
            warnings.simplefilter("always")
            outcome = work()
    except Built:
        return Ending("works", "")
    except TooLong:
        return Ending("too long", "")
    except BaseException as error:
        return Ending("escaped", "".join(traceback.format_exception(error)))
    said = outcome.out + outcome.err
    if "Traceback" in said:
        return Ending("traceback", said)
    spilt = [str(warning.message) for warning in warned if _spilt(warning)]
    if spilt:
        return Ending("warning", spilt[0])
    if outcome.status == 0:
        return Ending("works", "")
    lines = outcome.err.strip().splitlines()
    if outcome.status != 1 or not lines or (runs == 1 and len(lines) > 1):
        return Ending("not one paragraph", said)
    return Ending("refused", outcome.err)


def _spilt(warning: warnings.WarningMessage) -> bool:
    return not issubclass(warning.category, DeprecationWarning | PendingDeprecationWarning | ResourceWarning)


@contextmanager
def _stopped(train: bool) -> Iterator[None]:
    if train:
        yield
        return
    with patch("pytorch_lightning.Trainer.fit", side_effect=Built):
        yield


@contextmanager
def time_limit(seconds: int = SECONDS) -> Iterator[None]:
    """Raises ``TooLong`` within, after so many ``seconds``."""

    def stop(*_: object) -> None:
        raise TooLong

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def memory_limit(size: int) -> Iterator[None]:
    """No more than ``size`` bytes of addresses beside those that the process has; 0: no limit."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    if size:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (pages * os.sysconf("SC_PAGE_SIZE") + size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
