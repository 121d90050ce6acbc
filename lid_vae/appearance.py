"""What pictures look like: the name, colour, marker and line of each model, and inks for what is no model."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

__all__ = ["DOTS", "INKS", "MODELS", "STYLE", "Appearance", "Line", "appearance", "appearances"]

Line = str | tuple[int, tuple[int, ...]]
"""A line's style as matplotlib takes it: a name, or an offset with the lengths of dashes and gaps, in points."""


STYLE = Path(__file__).with_suffix(".mplstyle")
"""Of every picture, for matplotlib; to users ``plt.style.use("lid_vae.appearance")``."""
DOTS = 200
"""Of a picture's file, to an inch."""
INKS = ("#0060A8", "#D55E00", "#2BA58C", "#7A1F5C")
"""Blue, vermilion, green and purple for what is no model: told apart by the same rule, beside black."""


@dataclass(frozen=True)
class Appearance:
    """How one model is named and drawn.

    ``name`` is as the literature writes it, ``colour`` a hexadecimal one, ``marker`` and ``line`` are matplotlib's.
    ``identifiable``: its promise holds its decoder to an injective map; then it is drawn bold. ``filled``: its markers.
    """

    name: str
    colour: str
    marker: str
    line: Line = "solid"
    identifiable: bool = False
    filled: bool = True

    @property
    def width(self) -> float:
        """Of its lines, in points."""
        return 2.2 if self.identifiable else 1.3


DASHED, DOTTED, MIXED, LONG = "dashed", "dotted", "dashdot", (0, (8, 2))
# By model=, every file in conf/model. Identifiable models are saturated, the others muted. Colours were searched for:
# any two that one table can hold lie 24 or more apart in CIELAB, seen with deuteranopia, protanopia or neither, and all
# show on white paper (tests/test_appearance.py). A model of text shares the colour of its kin on vectors.
MODELS = {
    "lidgmvae": Appearance("LIDGMVAE", "#3640F4", "o", identifiable=True),
    "lidsvae": Appearance("LIDSVAE", "#3640F4", "o", identifiable=True),
    "polar_lidgmvae": Appearance("polar LIDGMVAE", "#7829A8", "*", identifiable=True),
    "anchored_lidgmvae": Appearance("anchored LIDGMVAE", "#00005A", "H", identifiable=True),
    "anchored_lidsvae": Appearance("anchored LIDSVAE", "#00005A", "H", identifiable=True),
    "lidvae": Appearance("LIDVAE", "#FF161C", "s", identifiable=True),
    "lidmvae": Appearance("LIDMVAE", "#0BAB3F", "^", identifiable=True),
    "il_lidvae": Appearance("IL-LIDVAE", "#867BFF", "D", identifiable=True),
    "gmvae": Appearance("GMVAE", "#737168", "X", DASHED),
    "svae": Appearance("SVAE", "#737168", "X", DASHED),
    "vae": Appearance("VAE", "#667095", "P", DOTTED),
    "linear_svae": Appearance("linear SVAE", "#667095", "P", DOTTED),
    "beta_vae": Appearance("beta-VAE", "#B0C293", "v", MIXED),
    "sa_vae": Appearance("SA-VAE", "#353534", "<", DASHED),
    "lagging_vae": Appearance("Lagging VAE", "#9DB6B5", ">", LONG),
    "pretrained_vae": Appearance("pretrained VAE", "#29325A", "p", MIXED),
    "bn_vae": Appearance("BN-VAE", "#4D2F0B", "h", DOTTED),
    "language_model": Appearance("language model", "#8A7442", "d", LONG),
    "linear_language_model": Appearance("linear language model", "#A3B2E5", "8", DASHED),
}
# Of further rows of one model, which keep its colour and marker.
FURTHER: tuple[Line, ...] = ((0, (4, 1, 1, 1)), (0, (1, 2)), (0, (6, 1, 1, 1, 1, 1)), (0, (3, 3)), (0, (10, 3)))


def appearance(model: str) -> Appearance:
    """That of the choice ``model=``; one that is not known here is black, under the name that was typed.

    >>> appearance("gmvae").name, appearance("my_own").name
    ('GMVAE', 'my_own')
    """
    return MODELS.get(model, Appearance(model, "#000000", "."))


def appearances(models: Sequence[str]) -> list[Appearance]:
    """Those of the rows of one table, by their ``models``: the second row of a model has another line, open markers.

    >>> [one.filled for one in appearances(["gmvae", "gmvae"])]
    [True, False]
    """
    found, seen = [], Counter[str]()
    for model in models:
        own, number = appearance(model), seen[model]
        seen[model] += 1
        further = FURTHER[(number - 1) % len(FURTHER)]
        found.append(own if number == 0 else replace(own, line=further, filled=False))
    return found
