"""Pictures and texts at validation, for the loggers that take them."""

from collections.abc import Callable
from functools import partial

from lid_vae.data.base import DataModule
from lid_vae.data.text.text_data_module import TextDataModule
from lid_vae.errors import UserError
from lid_vae.log.loggers import Shown, picture_loggers, show
from lid_vae.picture.picture_data import take_picture_data
from lid_vae.picture.sheet import render_panels
from lid_vae.picture.studio import PAYS, studio
from lid_vae.text.texts import take_texts
from lid_vae.train.member import Member

__all__ = ["Panels"]


class Panels:
    """Sends samples, reconstructions, latents and the use of the categories to TensorBoard and wandb; of
    text latents, and samples, reconstructions and interpolations as text.

    Every ``every``-th validation of the run (0: never), from ``examples`` rows of the validation split. The noise is
    keyed and no generator of the run advances, so a run is bit for bit the same with and without its pictures.
    Raises ``UserError`` for negative ``every`` and for no examples.
    """

    key = "Panels"

    def __init__(self, every: int = 4, examples: int = 1000) -> None:
        if every < 0 or examples < 1:
            raise UserError(
                f"Panels need every >= 0 and at least one example, got callbacks.panels.every={every} and "
                f"callbacks.panels.examples={examples}."
            )
        self.every, self.examples = every, examples
        self.validations = 0
        self.begun: Callable[[], None] | None = None

    def state_dict(self) -> dict[str, int]:
        return {"validations": self.validations}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Goes on counting validations where ``state``, of a checkpoint, stopped."""
        self.validations = state["validations"]

    def validated(self, member: Member) -> None:
        """Draws for the loggers of ``member``, if this validation is one in ``every``."""
        self.validations += 1
        loggers = picture_loggers(member.loggers)
        if not self.every or self.validations % self.every or not loggers:
            return
        module, data = member.module, member.data
        assert isinstance(data, DataModule)
        texts = take_texts(module, data, "valid") if isinstance(data, TextDataModule) else None
        pictured = take_picture_data(module, data, "valid", self.examples)
        several = member.together > 1 and module.device.type in PAYS
        drawn = studio().begin(render_panels, pictured) if several else partial(render_panels, pictured)
        named = pictured.category_BK is not None and pictured.label_B is not None
        usage = pictured.usage_CK if named else None
        self.begun = lambda: show(member.loggers, "valid", Shown(drawn(), texts, usage), module.step)

    def settled(self, member: Member) -> None:
        """Shows what is drawn: the pictures of all of a stack's seeds are begun before the first is waited for."""
        begun, self.begun = self.begun, None
        if begun is not None:
            begun()
