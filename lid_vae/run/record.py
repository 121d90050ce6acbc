"""What a result says of its run, and the measures of a split."""

import platform
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch

from lid_vae import __version__
from lid_vae.data.array.array_data_module import ArrayDataModule
from lid_vae.data.base import DataModule, Part
from lid_vae.data.split import Batch
from lid_vae.map.base import InjectiveMap
from lid_vae.measure import DrawMeasure, Evaluator, Measure, SplitMeasure, Subject
from lid_vae.run.plan import select
from lid_vae.system.invocation import typed_command
from lid_vae.system.phases import watched
from lid_vae.system.processes import ALONE, ProcessPlace, sharing
from lid_vae.train.vae_module import VAEModule

__all__ = ["apart", "describe_run", "evaluate_split", "seed_summary", "split_evaluator", "summary", "watched_batches"]


def describe_run(
    labels: Mapping[str, Any], seed: int, digest: str, module: VAEModule, data: DataModule
) -> dict[str, Any]:
    """What a result says of its run besides the measures.

    ``labels`` are what it says of the configuration, whose hash is ``digest``; ``seed`` is the run's, and ``module``
    and ``data`` tell the rest.
    """
    map_ = module.vae.likelihood.map
    return {
        **labels,
        "base_model": module.promise.variant.lower(),
        "seed": seed,
        "train_size": len(data.train),
        "config_hash": digest,
        "version": __version__,
        "torch": torch.__version__,
        "device": _device_name(module.device),
        "command": typed_command(),
        "parameters": sum(p.numel() for p in module.parameters() if p.requires_grad),
        "inverse_lipschitz": map_.certificate() if isinstance(map_, InjectiveMap) else None,
        "certified": module.promise.certified(module.vae),
        "separation": module.vae.prior.separation(),
        **_units(data),
    }


def evaluate_split(
    module: VAEModule,
    data: DataModule,
    split: Part,
    samples: int,
    further: Mapping[str, Measure] | None = None,
    folder: Path | None = None,
    notice: Callable[[float], str | None] | None = None,
) -> dict[str, Any]:
    """All measures of ``module`` on a ``split`` of ``data``, with S = ``samples``.

    They are the same for the end of training and for ``evaluate.py``. ``further`` are those of ``conf/measures``, by
    name; ``folder`` is where one that takes long keeps what it has done, and ``notice`` that of ``watched``. Of several
    processes each takes its share of the batches, and all have the result.
    """
    place = sharing(len(data.evaluation_loader(split)))
    evaluator = split_evaluator(module, data, samples, place, further)
    for batch in watched_batches(data, split, place, notice):
        evaluator.update(batch.x, batch.y)
    return {"split": split, **evaluator.compute(), **apart(module, data, split, samples, further, folder)}


def watched_batches(
    data: DataModule,
    split: Part,
    place: ProcessPlace = ALONE,
    notice: Callable[[float], str | None] | None = None,
) -> Iterator[Batch]:
    """Those of a ``split`` of ``data`` that fall to the process at ``place``, while a terminal shows how far it is.

    ``notice`` is that of ``watched``.
    """
    sizes = list(place.take(data.evaluation_loader(split).sizes()))
    return watched(place.take(data.batches(split)), f"evaluating the {split} split", len(sizes), sizes, notice)


def apart(
    module: VAEModule,
    data: DataModule,
    split: Part,
    samples: int,
    further: Mapping[str, Measure] | None,
    folder: Path | None = None,
) -> dict[str, Any]:
    """Those of the ``further`` measures of a split that share no draws with the others, as far as they apply.

    ``module``, ``data``, ``samples`` and ``folder`` are those of ``evaluate_split``.
    """
    subject = Subject(
        module.vae,
        module.infer,
        module.objective.samples,
        partial(data.batches, split),
        samples,
        module.device,
        folder,
    )
    found = {name: one.measure(subject) for name, one in (further or {}).items() if isinstance(one, SplitMeasure)}
    return {name: value for name, value in found.items() if value is not None}


def split_evaluator(
    module: VAEModule,
    data: DataModule,
    samples: int,
    place: ProcessPlace = ALONE,
    further: Mapping[str, Measure] | None = None,
) -> Evaluator:
    """The evaluator of all measures that share draws, for ``module`` as it stands and ``data`` on its device.

    ``samples`` is S, ``place`` that of this process among those that share the split; ``further`` measures may join.
    """
    module.eval()
    data.to_device(module.device)
    return Evaluator(
        module.vae,
        module.infer,
        samples,
        data.label_count,
        inference_samples=module.objective.samples,
        by_dimension=True,
        place=place,
        further={name: one for name, one in (further or {}).items() if isinstance(one, DrawMeasure)},
    )


def summary(result: Mapping[str, Any]) -> str:
    """One line with AU, KL, MI and LL of a ``result``; what is not finite there, or missing, is a dash."""
    names = [str(result.get(name)) for name in ("model", "data", "split")]
    parts = [*_figures(result, f" ({select(result, 'll.samples')} samples)")]
    if select(result, "latent.w") is not None:
        parts.append(f"[w: AU {_shown(result, 'latent.w.au', 2)}, KL {_shown(result, 'latent.w.kl', 2)}]")
    return f"{names[0]} on {names[1]}, {names[2]}, nats: " + "  ".join(parts)


def seed_summary(result: Mapping[str, Any]) -> str:
    """The ``result`` of one of several seeds, whose model and data were said before them all: less than 80 columns."""
    return f"{'seed ' + str(result['seed']):<12}" + "  ".join(_figures(result))


def _figures(result: Mapping[str, Any], drawn: str = "") -> Iterator[str]:
    yield f"AU {_shown(result, 'latent.z.au', 2)}"
    yield f"KL {_shown(result, 'latent.z.kl')}"
    yield f"MI {_shown(result, 'latent.z.mi')}"
    yield f"LL {_shown(result, 'll.mean')} +- {_shown(result, 'll.se')}{drawn}"
    if result.get("accuracy") is not None:
        yield f"accuracy {_shown(result, 'accuracy')}"


def _shown(result: Mapping[str, Any], path: str, digits: int = 3) -> str:
    value = select(result, path)
    return f"{value:.{digits}f}" if isinstance(value, int | float) else "-"


def _units(data: DataModule) -> dict[str, float]:
    """Of data in other units than their own, what to add to a log-likelihood for that in these, nats."""
    added = data.log_det_jacobian if isinstance(data, ArrayDataModule) else None
    return {} if added is None else {"log_det_jacobian": added}


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
