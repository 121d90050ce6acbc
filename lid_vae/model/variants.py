"""One class for each generative model of the paper; each declares what it promises, and overrides nothing."""

from typing import Any

from lid_vae.data.base import DataModule
from lid_vae.shapes import Tensor
from lid_vae.train.member import Member
from lid_vae.train.promise import Promise
from lid_vae.train.training import Training
from lid_vae.train.vae_module import VAEModule

__all__ = ["GMVAE", "LIDGMVAE", "LIDMVAE", "LIDSVAE", "LIDVAE", "SVAE", "VAE", "Variant"]


class Variant(VAEModule, Training):
    """A model that ``pytorch_lightning.Trainer`` trains: the one member of its training. Abstract."""

    _members: list[Member]

    @property
    def members(self) -> list[Member]:
        if "_members" not in self.__dict__:
            self._members = [Member(self)]
        return self._members

    @property
    def data(self) -> DataModule:
        return self.trainer.datamodule  # type: ignore[attr-defined, no-any-return]

    def extra_batch(self, draw: int) -> Tensor:
        return self.data.stream().batch(self.step, draw).x

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Describes the model in ``checkpoint``."""
        checkpoint["lid_vae"] = self.describe()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Goes on at the step of ``checkpoint``."""
        self.step = checkpoint["lid_vae"]["step"]


class VAE(Variant):
    """z ~ N(0, I), x | z through any map (Kingma and Welling 2014)."""

    promise = Promise("VAE", injective=False, prior="standard_normal")


class GMVAE(Variant):
    """z categorical, w | z Gaussian, x | w through any map: LIDGMVAE's classical counterpart."""

    promise = Promise("GMVAE", injective=False, prior="mixture")


class SVAE(Variant):
    """z ~ N(0, I), a sequence given z and its history through any map: LIDSVAE's classical counterpart."""

    promise = Promise("SVAE", injective=False, prior="standard_normal", sequence=True)


class LIDVAE(Variant):
    """z ~ N(0, I), x | z through Brenier maps and lifts (Wang et al. 2021, Definition 4 with w = z)."""

    promise = Promise("LIDVAE", injective=True, prior="standard_normal", counterpart="VAE")


class LIDMVAE(Variant):
    """z categorical, w | z any exponential family, x | w through Brenier maps and lifts (Definition 4)."""

    promise = Promise("LIDMVAE", injective=True, prior="mixture", counterpart="GMVAE")


class LIDGMVAE(Variant):
    """LIDMVAE with Gaussian w | z; with a Bernoulli likelihood, the "Bernoulli mixture" variant for images."""

    promise = Promise("LIDGMVAE", injective=True, prior="gaussian_mixture", counterpart="GMVAE")


class LIDSVAE(Variant):
    """z ~ N(0, I), a sequence given [z, history] through Brenier maps and lifts (Definition 4 with an LSTM history)."""

    promise = Promise("LIDSVAE", injective=True, prior="standard_normal", sequence=True, counterpart="SVAE")
