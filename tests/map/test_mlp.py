"""The classical maps: as many hidden layers as the identifiable counterpart, a linear decoder, the output bias."""

import pytest
import torch
from builders import normal
from torch import nn

from lid_vae.map import MLP, InjectiveMap, LinearMap, composed_brenier, counterpart_mlp

MAPS = [MLP(2, 5, 7, 3).double(), LinearMap(2, 5).double(), MLP(2, 5, 7, 0).double()]


@pytest.mark.parametrize(("depth", "hidden_layers"), [(2, 2), (2, 4), (3, 1)])
def test_as_many_hidden_layers_as_the_identifiable_map(depth: int, hidden_layers: int) -> None:
    map_ = counterpart_mlp(2, 8, 6, hidden_layers, depth)
    assert map_.hidden_layers == depth * hidden_layers == composed_brenier(2, 8, 6, hidden_layers, depth).hidden_layers
    linear = [module for module in map_.modules() if isinstance(module, nn.Linear)]
    assert len(linear) == depth * hidden_layers + 1
    assert [layer.out_features for layer in linear] == [6] * (depth * hidden_layers) + [8]
    assert linear[0].in_features == 2


def test_table_2s_nine_layers() -> None:
    assert sum(isinstance(module, nn.Linear) for module in counterpart_mlp(2, 8, 6, 4).modules()) == 9


def test_every_hidden_layer_counts() -> None:
    map_, u = MAPS[0], normal(50, 2)
    map_(u).square().sum().backward()
    assert all(parameter.grad is not None and bool((parameter.grad != 0).any()) for parameter in map_.parameters())


@pytest.mark.parametrize("map_", MAPS, ids=["mlp", "linear", "mlp without hidden layers"])
def test_contract(map_) -> None:
    assert not isinstance(map_, InjectiveMap)
    assert (map_.in_features, map_.out_features) == (2, 5)
    u, bias = normal(3, 4, 2), normal(5)
    assert map_(u).shape == (3, 4, 5)
    map_.initialise_bias(torch.zeros(5).double())
    before = map_(u)
    map_.initialise_bias(bias)
    torch.testing.assert_close(map_(u), before + bias)


def test_linear_is_linear() -> None:
    map_, (a, b) = MAPS[1], normal(2, 6, 2)
    torch.testing.assert_close(map_(a + b) + map_(torch.zeros_like(a)), map_(a) + map_(b))


def test_a_signal_passes_nine_layers() -> None:
    torch.manual_seed(0)
    features = counterpart_mlp(10, 5, 256, 4).hidden(torch.randn(500, 10)).detach()
    assert 0.2 < float(features.square().mean()) < 2.0  # PyTorch's default weights leave 1e-4
