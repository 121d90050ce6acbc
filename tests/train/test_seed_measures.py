"""Seeds measured together measure as each alone: the same noise, the same numbers, and errors of their own."""

import pytest
import torch
from hydra import compose, initialize_config_dir
from making import recipe
from runs import Programs

from lid_vae.data.base import DataModule
from lid_vae.data.stream import SplitLoader
from lid_vae.errors import UserError
from lid_vae.measure.batch import Ruler
from lid_vae.metrics import ClusterAccuracy
from lid_vae.run.build import build_data, build_module
from lid_vae.run.finish import evaluate_together
from lid_vae.run.record import evaluate_split, split_evaluator
from lid_vae.run.store import CONF
from lid_vae.train import VAEModule
from lid_vae.train.step import seed_measures
from lid_vae.train.step.seed_measures import SeedMeasures, seeds_at_once
from lid_vae.train.step.stack import Stack

PINWHEEL = ("data.per_class=40", "data.valid_size=70", "data.test_size=50", "data.eval_batch_size=32")
SAMPLES = 7
MODELS = [
    ("model=lidgmvae",),
    ("model=gmvae", "family.mixture=enumerate"),
    ("model=vae", "family=gaussian"),
    ("model=lidmvae", "prior.component=bernoulli", "family=gaussian"),
    ("model=lidmvae", "prior.component=gamma"),
    ("model=gmvae", "family=gaussian", "normalization=batch_norm"),
    ("model=sa_vae", "inference.steps=2"),
]


@pytest.fixture(autouse=True)
def double(monkeypatch):
    """Points in double precision."""
    batches = SplitLoader.__iter__
    monkeypatch.setattr(
        SplitLoader, "__iter__", lambda self: (batch._replace(x=batch.x.double()) for batch in batches(self))
    )


def make(*options: str, seeds: int = 3) -> tuple[list[VAEModule], DataModule]:
    """Modules of a few seeds in double precision, with their data."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfgs = [
            compose("train", [*PINWHEEL, *options, "width=8", "choices=null", f"seed={seed}"]) for seed in range(seeds)
        ]
    data = build_data(cfgs[0].data)
    return [build_module(*recipe(cfg), data, data.shape, data.label_count).double() for cfg in cfgs], data


def count_alone(monkeypatch):
    """How often an evaluator has looked at a batch for itself."""
    alone = []
    own = seed_measures.Evaluator._measure_alone
    monkeypatch.setattr(
        seed_measures.Evaluator,
        "_measure_alone",
        lambda self, x, number: alone.append(number) or own(self, x, number),
    )
    return alone


def assert_equal(found, expected, path=""):
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for name in expected:
            assert_equal(found[name], expected[name], f"{path}/{name}")
    elif isinstance(expected, float | list):
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-12), path
    else:
        assert found == expected, path


@pytest.mark.parametrize("options", MODELS, ids=lambda options: "-".join(options))
def test_together_as_alone(options, monkeypatch):
    modules, data = make(*options)
    expected = [evaluate_split(module, data, "valid", SAMPLES) for module in modules]
    assert expected[0]["elbo"] != expected[1]["elbo"]
    alone = count_alone(monkeypatch)
    found = evaluate_together(modules, data, "valid", SAMPLES)
    assert alone == []
    assert_equal(dict(enumerate(found)), dict(enumerate(expected)))


def test_as_many_at_once_as_memory_is_meant_for(monkeypatch):
    modules, data = make("model=gmvae", seeds=5)
    expected = [evaluate_split(module, data, "test", SAMPLES) for module in modules]
    monkeypatch.setitem(seed_measures.ROWS_TOGETHER, "cpu", 2 * 32 * 4)
    seen = []
    measure = Stack.measure
    monkeypatch.setattr(
        Stack, "measure", lambda self, function, chosen: seen.append(chosen) or measure(self, function, chosen)
    )
    found = evaluate_together(modules, data, "test", SAMPLES)
    assert_equal(dict(enumerate(found)), dict(enumerate(expected)))
    # of batches of 32 rows, two seeds at a time; of the last, which has 18, three
    assert [chosen.indices(5)[:2] for chosen in seen] == [(0, 2), (2, 4), (4, 5), (0, 3), (3, 5)]


def test_seeds_at_once():
    (module,), _ = make("model=gmvae", "family.mixture=enumerate", seeds=1)
    x = torch.zeros(100, 2).double()
    assert seeds_at_once(Ruler(2), module.vae, x) == 10_000 // (100 * 5)
    assert seeds_at_once(Ruler(1000), module.vae, x) == 1  # twenty draws of one seed fill a piece
    assert seeds_at_once(Ruler(2), module.vae, torch.zeros(10**6, 2).double()) == 1


@pytest.mark.parametrize("error", [RuntimeError("no rule"), torch.OutOfMemoryError("no room"), UserError("not so")])
def test_what_cannot_be_done_together_is_done_alone(error, monkeypatch):
    modules, data = make("model=gmvae")
    expected = [evaluate_split(module, data, "valid", SAMPLES) for module in modules]

    def fail(*arguments):
        raise error

    monkeypatch.setattr(Stack, "measure", fail)
    assert evaluate_together(modules, data, "valid", SAMPLES) == expected


def test_an_annealed_objective_may_stand_elsewhere(monkeypatch):
    """SA-VAE ascends it: each seed with the weight at which its own stands."""
    modules, data = make("model=sa_vae", "inference.steps=1", "objective=linear_annealing")
    modules[1].objective.advance(50, 100)
    assert modules[0].objective.beta != modules[1].objective.beta
    expected = [evaluate_split(module, data, "valid", SAMPLES) for module in modules]
    alone = count_alone(monkeypatch)
    found = evaluate_together(modules, data, "valid", SAMPLES)
    assert alone == []
    assert_equal(dict(enumerate(found)), dict(enumerate(expected)))


def test_objectives_of_other_numbers_are_in_the_way_of_sa_vae(monkeypatch):
    modules, data = make("model=sa_vae", "inference.steps=1")
    modules[1].objective.beta = 0.5
    expected = [evaluate_split(module, data, "valid", SAMPLES) for module in modules]
    alone = count_alone(monkeypatch)
    assert evaluate_together(modules, data, "valid", SAMPLES) == expected
    assert len(alone) == 9


def test_an_error_of_one_seed_is_its_own(monkeypatch):
    modules, data = make("model=gmvae")
    expected = [evaluate_split(module, data, "valid", SAMPLES) for module in modules]
    calls = []
    update = ClusterAccuracy.update

    def failing(self, category, label):
        calls.append(0)
        if len(calls) == 2:
            raise UserError("The sky fell.")
        update(self, category, label)

    monkeypatch.setattr(ClusterAccuracy, "update", failing)
    found = evaluate_together(modules, data, "valid", SAMPLES)
    assert isinstance(found[1], UserError)
    assert_equal({0: found[0], 2: found[2]}, {0: expected[0], 2: expected[2]})


def test_draws_of_a_mixture_are_each_seeds_own():
    """The generator goes on for each seed from where the draws have left it, whatever its siblings take from it."""
    modules, data = make("model=gmvae", "family.mixture=enumerate", seeds=2)
    evaluators = [split_evaluator(module, data, SAMPLES) for module in modules]
    SeedMeasures(Stack(modules), dict(enumerate(evaluators)))
    x = next(iter(data.batches("valid"))).x
    first, second = (evaluator.measure(x, 0)[1] for evaluator in evaluators)
    assert torch.equal(torch.rand(5, generator=first), torch.rand(5, generator=second))


@pytest.mark.parametrize("fault", ["evaluate", "restore"])
def test_a_seed_that_cannot_be_measured_leaves_the_others(fault, tmp_path, monkeypatch):
    """Measured together, as on a GPU."""
    monkeypatch.undo()  # these points are in single precision
    programs = Programs(tmp_path)
    monkeypatch.setattr("lid_vae.run.finish._measured_together", lambda modules, data, samples: 2)
    if fault == "restore":
        restore = VAEModule.restore

        def failing_restore(self, checkpoint):
            if self.seed == 1:
                raise UserError("The sky fell.")
            restore(self, checkpoint)

        monkeypatch.setattr(VAEModule, "restore", failing_restore)
    else:
        kl = seed_measures.Evaluator.compute

        def failing_compute(self):
            measures = kl(self)
            if self.ruler.samples == 4 and self.vae is spoilt[0]:
                raise UserError("The sky fell.")
            return measures

        spoilt = [None]
        init = VAEModule.__init__

        def remember(self, *arguments, **options):
            init(self, *arguments, **options)
            if self.seed == 1:
                spoilt[0] = self.vae

        monkeypatch.setattr(VAEModule, "__init__", remember)
        monkeypatch.setattr(seed_measures.Evaluator, "compute", failing_compute)
    run = programs.train("-m", "model=gmvae", "seed=0-2", "trainer.max_epochs=1")
    assert run.status == 1
    assert "The sky fell." in run.err
    assert "1 of 3 runs failed; the others are finished" in run.err
    assert [path.parent.name for path in sorted(tmp_path.rglob("result.json"))] == ["seed-0", "seed-2"]
