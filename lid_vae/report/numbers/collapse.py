"""Which runs have collapsed, by the rules of ``lid_vae.diagnose`` on what a result holds."""

from collections.abc import Iterable, Mapping
from math import inf, log
from typing import Any, Literal

__all__ = ["NEARLY", "RULE", "SLIGHT", "WITHOUT_LATENT", "State", "state", "states", "worst"]

State = Literal["collapsed", "partly"]
# Nats: a divergence below it is as good as none. As diagnosis has it, whose import would wait for torch.
SLIGHT = 0.01
# Of log K: below that share of what a category of K could tell, it tells little.
NEARLY = 0.1
# With places for the marks of the two.
RULE = (
    f"{{}} collapsed: KL(z) below {SLIGHT:g} nats, or AU(z) 0; {{}} in part: AU(z) below 1, or nearly: of K "
    f"categories KL(z), which MI cannot exceed, below {NEARLY:g} log K"
)
# Theirs says nothing of x because it is not used: that is what they are for.
WITHOUT_LATENT = ("language_model", "linear_language_model")


def states(result: Mapping[str, Any]) -> dict[str, State | None]:
    """What AU(z) and KL(z) of a ``result``, each by itself, say of its collapse; by the measures' keys, au and kl.

    >>> states({"model": "gmvae", "latent": {"z": {"au": 0.1, "kl": 0.001, "usage": [0.5, 0.5]}}})
    {'au': 'partly', 'kl': 'collapsed'}
    """
    z = result["latent"]["z"]
    if result["model"] in WITHOUT_LATENT:
        return {"au": None, "kl": None}
    categories = len(z.get("usage") or ())
    nearly = NEARLY * log(categories) if categories else 0.0
    au, kl = (inf if z.get(key) is None else z[key] for key in ("au", "kl"))  # of what was not finite nothing is said
    return {
        "au": "collapsed" if au == 0 else "partly" if au < 1 else None,
        "kl": "collapsed" if kl < SLIGHT else "partly" if kl < nearly else None,
    }


def state(result: Mapping[str, Any]) -> State | None:
    """The worst that its measures say of ``result``."""
    return worst(states(result).values())


def worst(found: Iterable[State | None]) -> State | None:
    """Of ``found``: "collapsed" before "partly" before None."""
    known = set(found)
    return "collapsed" if "collapsed" in known else "partly" if "partly" in known else None
