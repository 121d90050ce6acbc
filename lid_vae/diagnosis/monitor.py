"""A callback that logs a diagnosis while a model trains, for either name of Lightning."""

from collections.abc import Callable
from typing import Any

from lid_vae.diagnosis.diagnose import diagnose
from lid_vae.diagnosis.report import Report
from lid_vae.diagnosis.subject.foreign import Encode, LogLikelihood, Prior
from lid_vae.diagnosis.subject.named import MakeLikelihood
from lid_vae.errors import UserError
from lid_vae.shapes import Tensor

__all__ = ["CollapseMonitor"]

OCCASIONS = ("setup", "teardown")
PREFIX = "on_"


class CollapseMonitor:
    """Logs active units, KL, MI, log-likelihood and their errors every so many epochs of a training.

    Under ``pytorch_lightning`` and ``lightning.pytorch`` alike, whose trainers take anything that has a callback's
    methods, in a list: ``Trainer(callbacks=[CollapseMonitor(...)])``. A loop of one's own calls ``diagnose``.

    Args:
        encode, log_likelihood, prior: as ``diagnose`` takes them; none of them for a module that it recognises.
        data: what to measure on; None: the trainer's validation loader, or else its training loader.
        every: epochs from one diagnosis to the next; the last epochs of such spans are measured.
        samples, likelihood, scale, decode, batch_size, seed: as ``diagnose`` takes them. 20 samples for each example
            are enough for a curve.
        prefix: of the logged names: ``collapse/au``, ``collapse/kl``, ``collapse/mi``, ``collapse/ll``, each with its
            standard error ``.../au_se``.

    ``report`` is the last ``Report``, None before the first; ``history`` holds (epoch, numbers) of all.
    Raises ``UserError`` for ``every`` below one, and what ``diagnose`` raises when it measures.

    >>> from torch.distributions import Normal
    >>> monitor = CollapseMonitor(encode=lambda x: Normal(x, 1.0), prior=Normal(0.0, 1.0), every=5)
    >>> monitor.report is None
    True
    """

    def __init__(
        self,
        *,
        encode: Encode | None = None,
        log_likelihood: LogLikelihood | None = None,
        prior: Prior | None = None,
        data: Any = None,
        every: int = 1,
        samples: int = 20,
        likelihood: MakeLikelihood | None = None,
        scale: float = 1.0,
        decode: Callable[[Tensor], Tensor] | None = None,
        batch_size: int = 500,
        seed: int = 0,
        prefix: str = "collapse/",
    ) -> None:
        if every < 1:
            raise UserError(f"CollapseMonitor measures every so many epochs, one at the least; got every={every}.")
        if encode is not None and prior is None:
            raise UserError("CollapseMonitor needs the prior p(z) beside encode: prior=Normal(0, 1).")
        self.parts: dict[str, Any] = {"encode": encode, "log_likelihood": log_likelihood, "prior": prior}
        self.options: dict[str, Any] = {
            "samples": samples,
            "likelihood": likelihood,
            "scale": scale,
            "decode": decode,
            "batch_size": batch_size,
            "seed": seed,
        }
        self.data, self.every, self.prefix = data, every, prefix
        self.report: Report | None = None
        self.history: list[tuple[int, dict[str, float]]] = []

    def __getattr__(self, name: str) -> Callable[..., None]:
        """A callback's other methods, which do nothing; Lightning asks for every one."""
        if name.startswith(PREFIX) or name in OCCASIONS:
            return _nothing
        raise AttributeError(f"{type(self).__name__} has no {name}")

    @property
    def state_key(self) -> str:
        """Under which Lightning would keep a state, if there were one."""
        return f"{type(self).__qualname__}{{'prefix': {self.prefix!r}}}"

    def state_dict(self) -> dict[str, Any]:
        """Nothing: a diagnosis is of the weights as they are."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """``state_dict`` is empty: a monitor remembers nothing."""

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Measures ``pl_module``, in the process of ``trainer`` that logs, when ``every`` epochs have passed."""
        if (trainer.current_epoch + 1) % self.every or trainer.sanity_checking:
            return
        if trainer.is_global_zero:
            numbers = self._measure(trainer, pl_module)
            pl_module.log_dict(numbers, on_step=False, on_epoch=True, rank_zero_only=True, batch_size=1)

    def _measure(self, trainer: Any, pl_module: Any) -> dict[str, float]:
        data = self.data
        if data is None:
            data = trainer.val_dataloaders or trainer.train_dataloader
            data = data[0] if isinstance(data, list) and data else data
        parts, options = dict(self.parts), dict(self.options)
        model = None
        if parts["encode"] is None:
            model, parts = pl_module, {}
        was_training = pl_module.training
        pl_module.eval()
        try:
            self.report = diagnose(model, data, **parts, **options, device=pl_module.device)
        finally:
            pl_module.train(was_training)
        numbers = {f"{self.prefix}{name}": value for name, value in self.report.summary().items()}
        self.history.append((trainer.current_epoch, numbers))
        return numbers


def _nothing(*_: Any, **__: Any) -> None:
    """What a callback does at the occasions that are not its own."""
