"""Latent-identifiable variational autoencoders (Wang, Blei and Cunningham, NeurIPS 2021), and collapse in any VAE.

What is used is imported when it is first asked for: ``import lid_vae`` loads neither PyTorch nor Lightning.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lid_vae import plot
    from lid_vae.diagnosis import CollapseMonitor, Report, diagnose
    from lid_vae.errors import UserError
    from lid_vae.measure.identifiability import identifiability
    from lid_vae.model import GMVAE, LIDGMVAE, LIDMVAE, LIDSVAE, LIDVAE, SVAE, VAE, build, load

__all__ = [
    "GMVAE",
    "LIDGMVAE",
    "LIDMVAE",
    "LIDSVAE",
    "LIDVAE",
    "SVAE",
    "VAE",
    "CollapseMonitor",
    "Report",
    "UserError",
    "__version__",
    "build",
    "diagnose",
    "identifiability",
    "load",
    "plot",
]

__version__ = "0.1.0"

HOMES = {
    "lid_vae": ("plot",),
    "lid_vae.diagnosis": ("CollapseMonitor", "Report", "diagnose"),
    "lid_vae.errors": ("UserError",),
    "lid_vae.measure.identifiability": ("identifiability",),
    "lid_vae.model": ("GMVAE", "LIDGMVAE", "LIDMVAE", "LIDSVAE", "LIDVAE", "SVAE", "VAE", "build", "load"),
}
"""Where the names above are at home (PEP 562)."""


def __getattr__(name: str) -> Any:
    for home, names in HOMES.items():
        if name in names:
            value = import_module(f"{home}.{name}") if home == __name__ else getattr(import_module(home), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
