"""The classical counterpart of a composed map: an MLP with as many hidden layers."""

from lid_vae.map.network.mlp import MLP

__all__ = ["counterpart_mlp"]


def counterpart_mlp(in_features: int, out_features: int, width: int, hidden_layers: int, depth: int = 2) -> MLP:
    """An MLP of ``depth * hidden_layers`` hidden layers: what ``depth`` maps of ``hidden_layers`` each have together.

    ``in_features``, ``out_features`` and ``width`` are those of ``MLP``. Two maps of four make the nine linear layers
    of Table 2, the lift being the ninth on the identifiable side.
    """
    return MLP(in_features, out_features, width, depth * hidden_layers)
