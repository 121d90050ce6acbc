"""What a variant of the paper promises of its parts, checked when it is built."""

from dataclasses import dataclass
from typing import Literal

from lid_vae.distribution.components import GaussianComponents
from lid_vae.distribution.latent import Mixture
from lid_vae.errors import UserError
from lid_vae.map.base import InjectiveMap
from lid_vae.posterior.encoder import Encoder
from lid_vae.vae import Autoencoder

__all__ = ["Promise"]


@dataclass(frozen=True)
class Promise:
    """What a variant needs of its parts.

    ``injective``: the decoder's map is an ``InjectiveMap``, injective in w. Of a sequence that suffices for every
    history apart: p(x | w) and p(x | w') then differ at its first symbol. ``prior``: what z is. ``sequence``: x is a
    sequence. ``counterpart``: the variant without the promise.
    """

    variant: str
    injective: bool
    prior: Literal["standard_normal", "mixture", "gaussian_mixture"]
    sequence: bool = False
    counterpart: str | None = None

    def check(self, vae: Autoencoder) -> None:
        """Raises ``UserError`` naming the promise, the value and the fix, where ``vae`` breaks it."""
        map_ = vae.likelihood.map
        symbols = vae.likelihood.symbols
        if self.injective and not isinstance(map_, InjectiveMap):
            raise UserError(
                f"{self.variant} needs an injective map, got {type(map_).__name__}. "
                f"Use {self.counterpart}, or composed_brenier, composed_gradient_network or anchored."
            )
        if self.sequence and symbols is None:
            raise UserError(
                f"{self.variant} models sequences, and {type(vae.likelihood).__name__} has none. Use "
                f"{'LIDVAE' if self.injective else 'VAE'} for data without an order, or SyntheticText, PTB or Text for "
                "sequences."
            )
        if not self.sequence and symbols is not None:
            use, further = (
                ("LIDSVAE", "inverse_lipschitz=1 (IL-LIDVAE)") if self.injective else ("SVAE", "BatchNormPosterior")
            )
            raise UserError(
                f"{self.variant} models vectors, and these data are sequences of {symbols} symbols. Use {use}, "
                f"whose likelihood has a history; {further} goes with it."
            )
        encoder = next((part for part in vae.posterior.modules() if isinstance(part, Encoder)), None)
        if encoder is not None and encoder.sequences != self.sequence:
            kinds, use = (
                ("sequences", "LSTMEncoder")
                if self.sequence
                else ("vectors", "MLPEncoder, or ConvolutionalEncoder of images")
            )
            raise UserError(f"{self.variant} models {kinds}, which {type(encoder).__name__} does not read. Use {use}.")
        latent = vae.likelihood.latent_dimension
        if isinstance(map_, InjectiveMap) and self.injective and not map_.injective_in(min(latent, map_.in_features)):
            raise UserError(
                f"{self.variant} needs a map that is injective in all {latent} dimensions of the latent, got one that "
                f"is so in the first {map_.injective_features}. Use anchor={latent}."
            )
        if self.injective and not vae.likelihood.identifiable:
            raise UserError(
                f"{self.variant} needs the latent at the input of its injective map, where wiring=input or none "
                "leaves it out. Use wiring=output (the paper's) or both."
            )
        categories = vae.prior.categories
        if self.prior == "standard_normal" and categories is not None:
            raise UserError(
                f"{self.variant} has a continuous z with a standard normal prior, got {type(vae.prior).__name__} with "
                f"{categories} categories. Use GMVAE or LIDGMVAE, or StandardNormalPrior."
            )
        if self.prior != "standard_normal" and categories is None:
            raise UserError(
                f"{self.variant} has a categorical z, got {type(vae.prior).__name__}. "
                "Use VAE or LIDVAE, or GaussianMixture."
            )
        if self.prior == "gaussian_mixture":
            prior = vae.prior()
            if not (isinstance(prior, Mixture) and isinstance(prior.components, GaussianComponents)):
                raise UserError(
                    f"{self.variant} has Gaussian components, got {type(vae.prior).__name__}. "
                    "Use LIDMVAE, or GaussianMixture."
                )

    def certified(self, vae: Autoencoder) -> Literal["w", "w for every history", "w and history"] | None:
        """In what the reported inverse-Lipschitz constant m bounds distances; None where there is none.

        With g the map of ``vae``, "w": |g(w) - g(w')| >= m |w - w'|. Of sequences with histories h and h' before a
        symbol, "w for every history": |g(w, h) - g(w', h')| >= m |w - w'|, which identifies w; "w and history", as of
        Definition 4 of Wang et al. (2021): |g(w, h) - g(w', h')| >= m |(w, h) - (w', h')|, which identifies both.
        """
        map_ = vae.likelihood.map
        if not (isinstance(map_, InjectiveMap) and vae.likelihood.identifiable):
            return None
        if not self.sequence:
            return "w"
        return "w and history" if map_.injective_in(map_.in_features) else "w for every history"
