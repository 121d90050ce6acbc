"""A captured step is the plain one; what a graph would freeze is captured anew, or left plain with a reason.

There is no GPU here: the kernels of a step are recorded and done again, with every number that Python had computed.
"""

import copy
import warnings
from contextlib import nullcontext

import pytest
import pytorch_lightning as pl
import torch
from recorded import recorded
from runs import Programs
from test_together import OTHERS, built, trained

import lid_vae
from lid_vae.objective.annealed import Annealed
from lid_vae.objective.base import Objective
from lid_vae.system.checkpoint import load_checkpoint
from lid_vae.system.files import read_json
from lid_vae.train.ensemble import MemberStreams
from lid_vae.train.step import captured
from lid_vae.train.step.captured import Captured, callback_with, not_captured
from lid_vae.train.step.captured_adam import CapturedAdam
from lid_vae.train.step.stack import Stack
from lid_vae.train.step.take_step import take_step
from lid_vae.train.step.together import Alone

HELD = [
    "model=vae",
    "model=lidvae",
    "model=gmvae",
    "model=lidgmvae",
    "model=lidmvae",
    "model=beta_vae",
    "model=lidgmvae objective=importance_weighted",
    "model=gmvae inference=semi_amortized inference.learning_rate=0.01",
    "model=gmvae objective=cyclical_annealing",
    "model=lidgmvae objective=linear_annealing",
    "model=gmvae objective=free_bits objective.beta={_target_:lid_vae.objective.Linear}",
    *(options for options in OTHERS if "aggressive" not in options),
]


DROPPING = "model=gmvae encoder._target_=dropping.DroppingEncoder"
QUICK = {"model=lidgmvae", "model=bn_vae", "model=gmvae objective=cyclical_annealing"}
USUAL = {"model=vae", "model=gmvae inference=semi_amortized inference.learning_rate=0.01", "model=lidmvae"}


class Within(pl.Callback):
    def on_before_backward(self, *_):
        pass


class BeforeAdam(pl.Callback):
    def on_before_optimizer_step(self, *_):
        pass


@pytest.fixture(autouse=True)
def double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def _plain_init(self, beta):
    Objective.__init__(self)
    self.schedule, self.beta = beta, beta(0, 1)


def pair(options, seeds):
    """The members of ``seeds`` twice, apart: as modules are, and with their data."""
    for _ in range(2):
        modules, data = built(options, seeds)
        streams = [data.stream(seed) for seed in seeds]
        yield (Alone(modules[0]), streams[0]) if len(seeds) == 1 else (Stack(modules), MemberStreams(streams))


def capture(together, **options):
    """Gives ``together`` a captured bound; its ``differentiate`` is then done where the bound is."""
    bound = Captured(together, together.forward, **{"record": recorded, **options})
    differentiate = together.differentiate

    def once(loss, group, backward):
        if not bound.take_gradients():
            differentiate(loss, group, backward)

    class Given:
        """``together`` as the capture sees it: with the plain ``differentiate``."""

        def __getattr__(self, name):
            return differentiate if name == "differentiate" else getattr(together, name)

    bound.together = Given()
    together.forward, together.differentiate = bound, once
    return bound


@pytest.mark.parametrize("seeds", [(4,), (3, 4)])
@pytest.mark.parametrize(
    "options",
    [pytest.param(o, marks=[] if o in QUICK else pytest.mark.slow if o in USUAL else pytest.mark.full) for o in HELD],
)
def test_replayed_steps_are_the_plain_ones(options, seeds):
    (plain, stream), (together, other) = pair(options, seeds)
    wanted = torch.stack(trained(plain, stream, False)).detach()
    bound = capture(together)
    with warnings.catch_warnings(action="error"):
        found = torch.stack(trained(together, other, False)).detach()
    assert bound.counts.total() == len(bound.captures) == 1
    torch.testing.assert_close(found, wanted, rtol=1e-6, atol=1e-8)
    for leaf, other in zip(together.tensors()[0], plain.tensors()[0], strict=True):
        torch.testing.assert_close(leaf, other, rtol=1e-5, atol=1e-8)


def test_what_changes_with_every_step_is_left_plain_and_said(monkeypatch):
    """As a weight that an objective of one's own holds as a number, at whose first value a graph would keep it."""

    def advance(self, step, steps):
        self.beta = self.schedule(step, steps)

    monkeypatch.setattr(Annealed, "__init__", _plain_init)
    monkeypatch.setattr(Annealed, "advance", advance)
    (plain, stream), (together, other) = pair("model=gmvae objective=cyclical_annealing", (3, 4))
    assert isinstance(together.frame.objective.beta, float)
    wanted = torch.stack(trained(plain, stream, False)).detach()
    bound = capture(together)
    with pytest.warns(UserWarning, match="numbers of the model or of its objective change as it trains"):
        found = torch.stack(trained(together, other, False)).detach()
    torch.testing.assert_close(found, wanted, rtol=1e-6, atol=1e-8)
    assert not bound.captures


def test_a_kernel_that_no_graph_holds_is_named():
    (plain, stream), (together, other) = pair("model=lidgmvae", (3, 4))
    wanted = torch.stack(trained(plain, stream, False)).detach()
    inner = together.forward

    def waits(x, noise, chosen=None):
        value = inner(x, noise, chosen)
        return value * (1.0 if bool(value.isfinite().all()) else 0.0)

    together.forward = waits
    capture(together)
    with pytest.warns(UserWarning, match=r"not permitted when stream is capturing: _local_scalar_dense\."):
        found = torch.stack(trained(together, other, False)).detach()
    torch.testing.assert_close(found, wanted, rtol=0, atol=0)


def test_a_replay_that_is_not_the_plain_step_is_not_used():
    (plain, stream), (together, other) = pair("model=gmvae", (3,))
    wanted = torch.stack(trained(plain, stream, False)).detach()

    def wrong(work):
        work()
        return lambda: together.groups["all"][3].grad.mul_(1.01)

    capture(together, record=wrong)
    with pytest.warns(UserWarning, match="the captured step is not the plain one"):
        found = torch.stack(trained(together, other, False)).detach()
    torch.testing.assert_close(found, wanted, rtol=0, atol=0)


def test_a_step_is_captured_anew_for_another_batch_and_where_a_number_or_a_tensor_has_changed():
    (together, stream), _ = pair("model=lidgmvae", (3, 4))
    together.optimizers([None, None])
    bound = Captured(together, together.forward, recorded)
    x = stream.batch(0).x.double()

    def call(x, step):
        noise = together.noise(step, 0, x.shape[1])
        value = bound(x, noise)
        assert bound.take_gradients()
        assert not bound.take_gradients()
        torch.testing.assert_close(value, together.forward(x, noise).detach(), rtol=1e-12, atol=1e-12)

    for step in range(3):
        call(x, step)
    assert bound.counts.total() == 1
    call(x[:, :8], 3)
    call(x, 4)
    assert bound.counts.total() == 2
    together.frame.objective.beta = 0.5
    call(x, 5)
    assert bound.counts.total() == 3
    name = next(iter(together.parameters))
    together.parameters[name] = (together.parameters[name].detach() * 2).requires_grad_()
    call(x, 6)
    assert bound.counts.total() == 4


@pytest.mark.parametrize("seeds", [(4,), (3, 4)])
def test_each_kind_of_update_has_its_own_graph(seeds):
    """Of Lagging VAE three: posterior and model in turn, and both jointly when it is no longer aggressive."""
    options = "model=lagging_vae inference.window=2 inference.most=5"
    (plain, stream), (together, other) = pair(options, seeds)
    steps = [(plain, plain.forward, stream), (together, Captured(together, together.forward, recorded), other)]
    found = [list(_updated(*each, len(seeds))) for each in steps]
    torch.testing.assert_close(found[1], found[0], rtol=1e-6, atol=1e-8)
    bound = steps[1][1]
    assert bound.obstacle is None
    assert [key[0] for key in bound.captures] == ["posterior", "model", "all"]
    assert bound.counts.total() == 3
    for leaf, other in zip(together.tensors()[0], plain.tensors()[0], strict=True):
        torch.testing.assert_close(leaf, other, rtol=1e-5, atol=1e-8)


ADAM = [
    ("model=lidgmvae", (3, 4)),
    ("model=vae", (4,)),
    ("model=gmvae inference=semi_amortized inference.learning_rate=0.01", (3, 4)),
]


def _rates(optimizers, step):
    for optimizer in optimizers.values():
        optimizer.param_groups[0]["lr"] = 0.01 / (1 + step)


@pytest.mark.parametrize(
    ("options", "seeds"), [ADAM[0], *(pytest.param(*row, marks=pytest.mark.slow) for row in ADAM[1:])]
)
def test_adam_steps_within_the_graph(options, seeds):
    """At the rates of its schedule, from its second step on; what it has gathered is as without, its settings too."""
    (plain, stream), (together, other) = pair(options, seeds)
    bound = Captured(together, together.forward, recorded, lambda: True)
    steps = [(plain, plain.forward, stream), (together, bound, other)]
    found = [list(_updated(*each, len(seeds), _rates)) for each in steps]
    torch.testing.assert_close(found[1], found[0], rtol=1e-5, atol=1e-7)
    assert [key[:2] for key in bound.captures] == [("all", True)]
    assert bound.counts.total() == 1
    assert together.joint_optimizer().state[together.groups["all"][0]]["step"] == 9
    for place in range(len(seeds)):
        (ours,), (theirs,) = together.optimizer_states(place), plain.optimizer_states(place)
        assert ours["param_groups"] == theirs["param_groups"]
        torch.testing.assert_close(ours["state"], theirs["state"], rtol=1e-5, atol=1e-8)


def test_a_parameter_without_a_gradient_gets_no_moments():
    used, idle = (torch.nn.Parameter(torch.ones(2)) for _ in range(2))
    optimizer = torch.optim.Adam([used, idle], fused=True)
    used.grad = torch.ones(2)
    optimizer.step()
    assert len(CapturedAdam(optimizer).tensors()) == 2 + 3
    assert set(optimizer.state_dict()["state"]) == {0}


def test_whatever_becomes_a_number_or_ceases_to_be_one_is_seen():
    part = torch.nn.Linear(1, 1)
    part.scale, part.rows, part.name, part.unset = 1.0, [1], "a", None
    numbers, seen = captured._Numbers(torch.nn.Sequential(part)), []
    changes = [{}, {"scale": 2.0}, {"rows": 3}, {"name": [0]}, {"unset": 1}, {"added": 0}, {"training": False}]
    for change in changes:
        for name, value in change.items():
            setattr(part, name, value)
        seen.append(numbers())
        assert numbers() == seen[-1]
    assert all(one != other for number, one in enumerate(seen) for other in seen[:number])


def test_adam_stays_outside_where_a_member_stands_still():
    (plain, stream), (together, other) = pair("model=gmvae", (3, 4))
    left = iter([True] * 4 + [False] * 5)
    bound = Captured(together, together.forward, recorded, lambda: next(left))
    steps = [(plain, plain.forward, stream), (together, bound, other)]
    found = [list(_updated(*each, 2)) for each in steps]
    torch.testing.assert_close(found[1], found[0], rtol=1e-5, atol=1e-7)
    assert [key[:2] for key in bound.captures] == [("all", True), ("all", False)]


def test_a_graph_in_which_adam_does_something_else_is_not_used():
    (plain, stream), (together, other) = pair("model=gmvae", (3, 4))
    made = []

    def wrong_at_first(work):
        replay = recorded(work)
        made.append(work)
        first = len(made) == 1
        leaf = together.groups["all"][2]
        return lambda: (replay(), leaf.data.add_(0.01 if first else 0.0))

    bound = Captured(together, together.forward, wrong_at_first, lambda: True)
    steps = [(plain, plain.forward, stream), (together, bound, other)]
    found = [list(_updated(*each, 2)) for each in steps]
    torch.testing.assert_close(found[1], found[0], rtol=1e-6, atol=1e-8)
    assert [key[:2] for key in bound.captures] == [("all", False)]
    assert len(made) == 2


def _updated(together, bound, stream, members, before=lambda optimizers, step: None):
    """Means of bounds of nine steps: the second of two members is joint from the fourth on, both from the seventh."""
    optimizers = dict(zip(together.inference.groups, together.optimizers([None] * members), strict=True))

    def minimise(loss, update):
        if not (isinstance(bound, Captured) and bound.take_gradients()):
            together.differentiate(loss, update.group, torch.autograd.backward)
        together.choose([True] * members if update.members is None else update.members.reshape(-1).tolist())
        if isinstance(bound, Captured) and bound.take_move():
            return
        for optimizer in optimizers.values() if update.group == "all" else [optimizers[update.group]]:
            optimizer.step()

    for step in range(9):
        before(optimizers, step)

        def batch(draw, step=step):
            x = stream.batch(step, draw).x.double()
            return x, together.noise(step, draw, x.shape[-2])

        updates = together.inference.updates()
        updates = bound.following(updates) if isinstance(bound, Captured) else updates
        yield take_step(updates, bound, minimise, *batch(0), batch).mean(-1)
        if step in (3, 6) and together.inference.groups != ("all",):
            with torch.no_grad():
                together.inference.active.view(-1)[-1 if step == 3 and members > 1 else slice(None)] = False


def test_of_members_that_are_chosen_the_value_is_theirs():
    (together, stream), _ = pair("model=gmvae", (3, 4))
    bound = Captured(together, together.forward, recorded)
    x, chosen = stream.batch(0).x.double(), torch.tensor([True, False])
    noise = together.noise(0, 0, x.shape[1])
    for _ in range(2):
        found = bound(x, noise, chosen)
        torch.testing.assert_close(found[0], together.forward(x, noise, chosen)[0].detach(), rtol=1e-12, atol=1e-12)
        assert bound.take_gradients()


@pytest.mark.parametrize(
    ("options", "trainer", "reason"),
    [
        ("model=lidgmvae", {}, None),
        ("model=lagging_vae", {}, None),
        ("model=gmvae", {"precision": "bf16-mixed"}, "trainer.precision=bf16-mixed chooses"),
        ("model=gmvae", {"callbacks": [Within()]}, "Within is called within the step"),
    ],
)
def test_what_is_not_captured(options, trainer, reason):
    (module,), _ = built(options, (3,))
    found = not_captured(module, pl.Trainer(logger=False, enable_checkpointing=False, **trainer))
    assert (found is None) if reason is None else reason in found


def test_a_callback_before_the_optimiser_keeps_adam_outside():
    trainer = pl.Trainer(logger=False, enable_checkpointing=False, callbacks=[BeforeAdam()])
    assert callback_with(trainer, captured.WITHIN) is None
    assert callback_with(trainer, captured.BEFORE_ADAM) == "BeforeAdam"


def test_sequences_are_not_captured(make):
    """The symbols of a batch are found and counted as it goes, which a graph does not allow."""
    module, _ = make("data=synthetic_text", "model=lidsvae")
    assert "sequences" in not_captured(module, pl.Trainer(logger=False, enable_checkpointing=False))


def test_dropout_is_drawn_anew_at_every_replay_as_at_every_plain_step():
    """From torch's own generator, seeded at each step: the two are one, to the last bit, unless that differs."""
    (plain, stream), (together, other) = pair(DROPPING, (3,))
    bound = capture(together)
    assert together.frame.drops
    found = []
    for one, own, shift in ((plain, stream, 0), (together, other, 0), (together, other, 1)):
        values = []
        for step in range(5):
            torch.manual_seed(step + shift)
            x = own.batch(step).x.double()
            value = one.forward(x, one.noise(step, 0, len(x)))
            one.differentiate(-value.mean(), "all", lambda loss, inputs: loss.backward(inputs=inputs))
            values.append((value.detach(), [leaf.grad.clone() for leaf in one.groups["all"]], torch.rand(())))
        found.append(values)
    assert bound.obstacle is None
    assert len(bound.captures) == bound.counts.total() == 1
    for step in range(5):
        (wanted, slopes, after), (value, gradients, then), (apart, *_) = (values[step] for values in found)
        assert torch.equal(value, wanted)
        assert all(map(torch.equal, gradients, slopes))
        assert then == after
        assert not torch.allclose(apart, wanted)


def test_the_generator_stands_where_a_plain_step_leaves_it_after_one_that_is_not_captured():
    (plain, stream), (together, other) = pair(DROPPING, (3,))

    def refused(work):
        work()
        raise RuntimeError("no graph of this")

    bound = capture(together, record=refused)
    left = []
    for one, own, said in ((plain, stream, nullcontext()), (together, other, pytest.warns(match="no graph of this"))):
        torch.manual_seed(0)
        x = own.batch(0).x.double()
        with said:
            value = one.forward(x, one.noise(0, 0, len(x))).detach()
        left.append((value, torch.rand(3)))
    assert bound.obstacle is not None
    assert all(map(torch.equal, *left))


LAGGING = "model=lagging_vae inference.window=1 inference.most=2"


@pytest.mark.parametrize(
    ("options", "seeds", "updates"),
    [
        pytest.param("model=lidgmvae", "0", 1, marks=pytest.mark.slow),
        ("model=lidgmvae", "0-1", 1),
        pytest.param("model=gmvae objective=linear_annealing", "0-1", 1, marks=pytest.mark.slow),
        pytest.param(LAGGING, "0-1", 3, marks=pytest.mark.slow),
    ],
)
def test_a_run_whose_steps_are_replayed_is_the_plain_run(tmp_path, monkeypatch, options, seeds, updates):
    torch.set_default_dtype(torch.float32)
    programs = Programs(tmp_path)
    made = []

    def counted(work):
        made.append(work)
        return recorded(work)

    def run(name, *more):
        own = (*options.split(), "-m", f"seed={seeds}", f"experiment_name={name}", "trainer.accelerator=cpu", *more)
        programs.train(*own)
        results = [read_json(path) for path in sorted(tmp_path.glob(f"runs/{name}/*/seed-*/result.json"))]
        kept = [load_checkpoint(path) for path in sorted(tmp_path.glob(f"runs/{name}/*/seed-*/checkpoints/last.ckpt"))]
        settings = [state["param_groups"] for checkpoint in kept for state in checkpoint["optimizer_states"]]
        left.append(([result["steps"] for result in results], [one["global_step"] for one in kept], settings))
        return [result["elbo"] for result in results]

    left: list = []
    plain = run("plain")
    monkeypatch.setitem(captured.RECORDS, "cpu", counted)
    assert run("off", "trainer.capture=false") == plain
    assert not made
    assert run("replayed") == pytest.approx(plain, rel=1e-4)
    assert left[2] == left[0]
    assert len(made) in range(min(updates, 2), updates + 1)  # the third kind comes when no seed is aggressive any more


def test_a_model_of_ones_own_program_is_captured_once_and_can_be_copied(monkeypatch):
    torch.set_default_dtype(torch.float32)
    x = torch.randn(200, 3, generator=torch.Generator().manual_seed(0))
    made = []

    def counted(work):
        made.append(work)
        return recorded(work)

    def fitted():
        model = lid_vae.LIDVAE.build(x, latent_dimension=2, width=8, seed=1)
        return model.fit(x, max_epochs=6, accelerator="cpu", progress=False)

    plain = fitted()
    monkeypatch.setitem(captured.RECORDS, "cpu", counted)
    model = fitted()
    assert len(made) == 1
    for one, other in zip(copy.deepcopy(model).parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


@pytest.mark.gpu
@pytest.mark.parametrize("model", ["vae", "lidvae", "gmvae", "lidgmvae", "sa_vae", "bn_vae"])
@pytest.mark.parametrize("seeds", ["0", "0-2"])
def test_a_run_on_a_gpu_is_the_same_with_and_without_capture(tmp_path, model, seeds):
    programs = Programs(tmp_path)
    options = (f"model={model}", "-m", f"seed={seeds}", "trainer.accelerator=gpu", "trainer.precision=64-true")
    bounds = []
    for name in ("auto", "false"):
        programs.train(*options, f"trainer.capture={name}", f"experiment_name={name}")
        rows = [read_json(path)["elbo"] for path in sorted(tmp_path.glob(f"runs/{name}/*/seed-*/result.json"))]
        bounds.append(rows)
    assert bounds[0] == pytest.approx(bounds[1], rel=1e-4)
