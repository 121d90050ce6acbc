"""Pictures and texts at validation, for the loggers that take them."""

from matplotlib.figure import Figure

from lid_vae.data.base import DataModule
from lid_vae.data.text.text_data_module import TextDataModule
from lid_vae.errors import UserError
from lid_vae.log.loggers import Shown, picture_loggers, show
from lid_vae.picture.drawing import render
from lid_vae.picture.panels import panels
from lid_vae.picture.picture_data import take_picture_data
from lid_vae.text.texts import take_texts
from lid_vae.train.member import Member

__all__ = ["Panels"]

SIDE = 3.6


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
        pictures = {}
        for name, panel in panels(pictured).items():
            figure = Figure(figsize=(SIDE * panel.width, SIDE), layout="constrained")
            panel.draw(figure)
            pictures[name] = render(figure)
        named = pictured.category_BK is not None and pictured.label_B is not None
        show(member.loggers, "valid", Shown(pictures, texts, pictured.usage_CK if named else None), module.step)
