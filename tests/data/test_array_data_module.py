"""What every array data module promises, on the smallest one that is real (digits) and on points (pinwheel)."""

import pytest
import torch

from lid_vae.data import ArrayDataModule, Digits, Pinwheel
from lid_vae.errors import UserError


def ready(module: ArrayDataModule) -> ArrayDataModule:
    module.prepare_data()
    module.setup("fit")
    return module


@pytest.fixture(params=[Digits, Pinwheel])
def kind(request: pytest.FixtureRequest) -> type[ArrayDataModule]:
    return request.param


def test_the_runs_seed_moves_the_order_and_nothing_else(kind: type) -> None:
    one, other = (ready(kind(train_size=500, train_seed=seed)) for seed in (0, 1))
    assert one.checksum == other.checksum
    assert torch.equal(one.train.x, other.train.x)
    assert all(torch.equal(a.x, b.x) for a, b in zip(one.batches("test"), other.batches("test"), strict=True))
    assert not torch.equal(one.stream().batch(0).index, other.stream().batch(0).index)
    assert torch.equal(one.train_stream(1).batch(0).x, other.stream().batch(0).x)


def test_the_data_seed_moves_everything_else(kind: type) -> None:
    one, other = (ready(kind(train_size=500, seed=seed)) for seed in (0, 1))
    for part in ("train", "valid", "test"):
        assert not torch.equal(getattr(one, part).x, getattr(other, part).x)
    assert one.checksum != other.checksum
    assert torch.equal(one.stream().batch(0).index, other.stream().batch(0).index)


def test_a_checksum_is_the_same_twice_and_sees_one_changed_byte() -> None:
    one, other = ready(Digits()), ready(Digits())
    other.test.x[5, 5] += 1
    assert one.checksum == ready(Digits()).checksum
    assert one.checksum != other.checksum


def test_evaluation_batches_are_the_same_every_time_and_binary() -> None:
    module = ready(Digits())
    for part in ("train", "valid", "test"):
        first, again = (torch.cat([batch.x for batch in module.batches(part, size)]) for size in (64, None))
        assert torch.equal(first, again)
        assert torch.equal(first, torch.cat([batch.x for batch in ready(Digits()).batches(part)]))
        assert set(first.unique().tolist()) == {0.0, 1.0}
        assert len(first) == len(getattr(module, part))


def test_loaders_cover_their_splits() -> None:
    module = ready(Digits(eval_batch_size=150))
    assert sum(len(batch.x) for batch in module.val_dataloader()) == 200
    assert sum(len(batch.x) for batch in module.test_dataloader()) == 397
    assert len(module.test_dataloader()) == 3
    assert len(list(module.train_dataloader())) == len(module.stream()) == 1200 // 128


def test_shapes_and_facts() -> None:
    digits, pinwheel = ready(Digits()), ready(Pinwheel())
    assert (digits.features, digits.image_shape, digits.label_count, digits.binary) == (64, (8, 8), 10, True)
    assert (pinwheel.features, pinwheel.image_shape, pinwheel.label_count, pinwheel.binary) == (2, None, 5, False)
    assert not Digits(binarise="none").binary
    assert (digits.name, pinwheel.name) == ("digits", "pinwheel")


def test_training_array_is_grey_and_mean_is_its_mean() -> None:
    module = ready(Digits())
    array = module.training_array()
    assert array.min() == 0
    assert array.max() == 1
    assert len(array.unique()) == 17
    assert torch.allclose(module.mean(), array.double().mean(0).float(), atol=1e-6)


def test_setup_loads_once() -> None:
    module = ready(Digits())
    x = module.train.x
    module.setup("test")
    assert module.train.x is x


def test_moving_to_a_device_moves_every_split() -> None:
    module = ready(Digits())
    list(module.batches("valid"))
    module.to_device("meta")
    assert {getattr(module, part).device.type for part in ("train", "valid", "test")} == {"meta"}
    assert next(iter(module.val_dataloader())).x.device.type == "meta"


def test_what_is_evaluated_as_it_is_stored_is_held_once() -> None:
    module = ready(Pinwheel())
    module.to_device("cpu")
    assert module.evaluation_loader("valid").split is module.valid
    module.to_device("meta")
    assert module.evaluation_loader("valid").split is module.valid


def test_reading_before_setup_says_so() -> None:
    with pytest.raises(RuntimeError, match="setup"):
        Digits().train  # noqa: B018


@pytest.mark.parametrize("option", ["batch_size", "train_size", "valid_size", "test_size", "eval_batch_size"])
def test_sizes_below_one_are_refused(option: str) -> None:
    with pytest.raises(UserError, match=f"{option}=0"):
        Digits(**{option: 0})


def test_more_training_examples_than_there_are_is_refused() -> None:
    with pytest.raises(UserError, match=r"train_size=1201 .* 1200"):
        ready(Digits(train_size=1201))


@pytest.mark.gpu
def test_a_gpu_gives_the_order_and_the_evaluation_pixels_of_the_cpu() -> None:
    cpu, gpu = ready(Digits()), ready(Digits())
    gpu.to_device("cuda")
    assert torch.equal(cpu.stream().batch(20).index, gpu.stream().batch(20).index.cpu())
    assert gpu.stream().batch(0).x.is_cuda
    assert torch.equal(gpu.stream().batch(0).x, gpu.stream().batch(0).x)
    for a, b in zip(cpu.batches("test"), gpu.batches("test"), strict=True):
        assert torch.equal(a.x, b.x.cpu())
