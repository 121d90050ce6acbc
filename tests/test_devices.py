"""Training steps on a device that holds no numbers: nothing in them mixes devices, and none waits to read a value.

PyTorch's ``meta`` device stands for a GPU, where reading a number stops the queue of work: there it cannot be done at
all, and an operation on it and on a tensor left on the CPU is refused.
"""

from types import SimpleNamespace

import pytest
import torch
from hydra import compose, initialize_config_dir
from making import recipe
from test_combinations import CONF, INFERENCES, SMALL

from lid_vae.data.split import Batch
from lid_vae.noise import generator
from lid_vae.run.build import build_data, build_module
from lid_vae.sweep.ensemble_module import EnsembleModule
from lid_vae.train.vae_module import VAEModule

STEPS = INFERENCES[:2]  # the inner loop of Lagging VAE has to see its bound
MIXTURES = ["family.mixture=conditional", "family.mixture=enumerate"]
MODELS = [
    "model=vae",
    "model=lidvae",
    "model=lidvae map=gradient_network",
    *(f"model={model} {mixture}" for model in ("gmvae", "lidgmvae", "lidmvae") for mixture in MIXTURES),
    "model=lidgmvae family=gaussian",
    "model=lidgmvae objective=free_bits",
    "model=gmvae objective=importance_weighted",
    "model=gmvae posterior=batch_norm family=gaussian",
    "model=il_lidvae",
    "model=lidgmvae encoder=convolutional",
]


class Bench:
    """What a module asks of a trainer in a step, and no more."""

    def __init__(self) -> None:
        self.log_every_n_steps = 50
        self.precision_plugin = SimpleNamespace(convert_module=lambda module: module)


def modules(overrides: str, data: str, count: int, monkeypatch) -> tuple[list[VAEModule], Batch]:
    """``count`` modules, still on the CPU, and a batch on meta, where their noise comes from too."""
    with initialize_config_dir(CONF, version_base="1.3"):
        cfg = compose(
            "train",
            ["choices=null", "width=8", "optimizer.fused=false", f"data={data}", *SMALL[data], *overrides.split()],
        )
    source = build_data(cfg.data)
    shape = list(source.image_shape or (source.features,))
    built = [build_module(*recipe(cfg), source, shape, source.label_count) for _ in range(count)]
    batch = Batch(*(None if part is None else part.to("meta") for part in source.stream().batch(0)))
    noise = built[0].vae.posterior.draw_noise(built[0].objective.samples, len(batch.x), generator("test")).to("meta")
    monkeypatch.setattr(VAEModule, "noise", lambda *_: noise)  # there are no generators on meta
    for kind in (VAEModule, EnsembleModule):
        monkeypatch.setattr(kind, "manual_backward", lambda self, loss, **options: loss.backward(**options))
    return built, batch


@pytest.mark.parametrize("inference", STEPS, ids=["amortized", "semi_amortized"])
@pytest.mark.parametrize(("model", "data"), [("model=lidgmvae", "pinwheel"), *((model, "digits") for model in MODELS)])
def test_a_step_of_one_run(model, data, inference, monkeypatch):
    (module,), batch = modules(f"{model} {inference}", data, 1, monkeypatch)
    module.to("meta")
    module._trainer = Bench()
    optimizers = module.configure_optimizers()
    for optimizer in optimizers:
        optimizer.param_groups[0]["initial_lr"] = 1e-3
    module._optimizers = dict(zip(module.inference.groups, optimizers, strict=True))
    module._stepped = {"all": module.parameter_group("all")}
    module.step, module.steps = 60, 100
    module.training_step(batch, 0)
    assert module.step == 61
    module.step = 99  # a step that is logged: here a number is read
    with pytest.raises(RuntimeError, match="meta tensor"):
        module.training_step(batch, 0)


@pytest.mark.parametrize("inference", STEPS, ids=["amortized", "semi_amortized"])
@pytest.mark.parametrize("model", ["model=vae", *MODELS[3:8], "model=lidgmvae map=gradient_network"])
def test_a_step_of_three_seeds(model, inference, monkeypatch):
    built, batch = modules(f"{model} {inference}", "digits", 3, monkeypatch)
    members = [
        SimpleNamespace(module=module, trainer=SimpleNamespace(steppers=[]), checkpoint=None, training=True)
        for module in built
    ]
    ensemble = EnsembleModule(members).to("meta")
    ensemble._trainer = Bench()
    optimizers = ensemble.configure_optimizers()
    ensemble.bound = ensemble.stack.forward
    ensemble._optimizers = {
        group: SimpleNamespace(optimizer=optimizer, param_groups=optimizer.param_groups, step=optimizer.step)
        for group, optimizer in zip(ensemble.stack.inference.groups, optimizers, strict=True)
    }
    ensemble.step, ensemble.steps = 60, 100
    together = Batch(torch.stack([batch.x] * 3), None, batch.index)
    ensemble.training_step(together, 0)
    assert [member.module.step for member in members] == [61] * 3
    ensemble.step = 99
    with pytest.raises(RuntimeError, match="meta tensor"):
        ensemble.training_step(together, 0)
