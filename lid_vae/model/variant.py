"""A model as its user holds it: built of data, trained, asked and saved, by itself or by Lightning's Trainer."""

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Self

import torch

from lid_vae.data.base import DataModule
from lid_vae.data.split import Batch
from lid_vae.errors import UserError
from lid_vae.measure.evaluator import Evaluator
from lid_vae.model.asked import Asked
from lid_vae.model.compose import build_model, own_hooks
from lid_vae.model.encoded import drawing, encoded
from lid_vae.model.fit import fit
from lid_vae.model.form import Form
from lid_vae.model.loaders import LoaderData, as_batch
from lid_vae.run.load import load_model
from lid_vae.shapes import Float, Tensor
from lid_vae.shown import logged
from lid_vae.train.member import Member
from lid_vae.train.training import Training

__all__ = ["Variant"]

TEST_SAMPLES = 100


class Variant(Asked, Training):
    """A model that ``pytorch_lightning.Trainer`` trains too: the one member of its training. Abstract.

    Under a ``Trainer`` of one's own it takes ``lid_vae``'s data modules and ordinary loaders, of tensors, tuples that
    begin with x, dictionaries and sentences; ``test`` measures what ``evaluate.py`` does, ``predict`` gives posterior
    means.
    """

    _members: list[Member]
    _loaders: LoaderData | None = None
    _rows = 0

    @classmethod
    def build(cls, x: Any, y: Any = None, *, seed: int = 0, **options: Any) -> Self:
        """A model of the examples ``x``, its weights a function of ``seed``, still to be trained.

        What the presets say holds where ``options`` do not; what has to be taken from the data is taken.

        Args:
            x: vectors [N, D], grey pictures [N, H, W] (bytes, or values in [0, 1]), colour pictures [N, H, W, 3] or
                [N, 3, H, W], as a tensor, array or ``Dataset``; a list of sentences; or one of ``lid_vae.data``.
            y: class numbers [N], where accuracy is to be measured.
            seed: of the weights, and of the order and noise of training.
            options: those of ``train.py``, by the same names: ``categories=10``, ``latent_dimension=8``,
                ``likelihood="bernoulli"``, ``width=256``, ``map="polar"``, ``inference="semi_amortized"``; one below
                another as a dictionary, ``optimizer={"lr": 0.003}``, or ``**{"map.depth": 3}``;
                ``data={"binarise": "dynamic"}`` are those of ``lid_vae.data.Array``.

        Raises:
            UserError: for an option that does not exist, and where parts and data do not fit.

        >>> x = torch.randn(200, 3)
        >>> model = VAE.build(x, latent_dimension=2, width=16).fit(x, max_epochs=1, progress=False)
        >>> model.encode(x).mean.shape, model.sample(5).shape
        (torch.Size([200, 2]), torch.Size([5, 3]))
        """
        model = build_model(cls.__name__.lower(), x, y, seed, options)
        assert isinstance(model, cls)
        return model

    def fit(self, x: Any = None, y: Any = None, **options: Any) -> Self:
        """Trains on the examples ``x``, and keeps the weights of the best validation bound; the model itself.

        Args:
            x: as for ``build``, a tenth of which is held out for validation; None: those that it was built of.
            y: class numbers [N], where they are to be shown.
            options: ``valid`` (validation examples in place of a tenth), ``max_epochs`` and ``batch_size`` (None: the
                preset's), ``callbacks``, ``logger`` and ``progress`` (False: silent), and others of
                ``pytorch_lightning.Trainer``, such as ``accelerator``, ``max_time``, ``enable_checkpointing``.

        Raises:
            UserError: where data do not fit, and where training diverges.
        """
        fit(self, x, y, **options)
        return self

    @classmethod
    def load_from_checkpoint(  # type: ignore[override]
        cls,
        checkpoint_path: str | PathLike[str],
        map_location: Any = None,
        trust: Sequence[str] = (),
        **unused: Any,
    ) -> Self:
        """The model in a checkpoint, of ``save``, of a run or of Lightning, in evaluation mode; see ``lid_vae.load``.

        ``map_location`` is a device to move it to. Raises ``UserError`` for a model of another class.
        """
        module = load_model(Path(checkpoint_path), trust).module
        if not isinstance(module, cls):
            raise UserError(
                f"{checkpoint_path} holds a {type(module).__name__}, not a {cls.__name__}: use lid_vae.load."
            )
        return module.eval() if map_location is None else module.eval().to(map_location)

    @property
    def members(self) -> list[Member]:
        if "_members" not in self.__dict__:
            self._members = [Member(self, own_hooks(self))]
        return self._members

    @property
    def data(self) -> Any:
        datamodule = self.trainer.datamodule  # type: ignore[attr-defined]
        if isinstance(datamodule, DataModule):
            return datamodule
        if self._loaders is None or self._loaders.trainer is not self.trainer:
            self._loaders = LoaderData(self.trainer, Form(self))
        return self._loaders

    def extra_batch(self, draw: int) -> Tensor:
        data = self.data
        return data.extra() if isinstance(data, LoaderData) else data.stream().batch(self.step, draw).x  # type: ignore[no-any-return]

    def training_step(self, batch: Any, batch_index: int) -> None:
        """One step on ``batch``, of any loader, whatever its number ``batch_index``."""
        super().training_step(self._taken(batch), batch_index)

    def validation_step(self, batch: Any, batch_index: int) -> None:
        """Measures ``batch``, of any loader, whatever its number ``batch_index``."""
        super().validation_step(self._taken(batch), batch_index)

    def on_fit_start(self) -> None:
        """Refuses by ``UserError`` a training without an end that its schedule could know."""
        trainer = self.trainer
        if trainer.max_epochs == -1 and trainer.max_steps == -1:
            raise UserError(
                "The learning rate follows the share of the training that is done, so that its length must be known. "
                "Give the Trainer max_epochs or max_steps; max_time may end it earlier."
            )
        super().on_fit_start()

    def on_train_end(self) -> None:
        """What a posterior or likelihood takes from the training set for its evaluation."""
        super().on_train_end()
        self.calibrate(self.data)

    def on_validation_epoch_start(self) -> None:
        """Refuses by ``UserError`` a mode without gradients where the inference takes one."""
        self._check_gradients()
        self._rows = 0
        super().on_validation_epoch_start()

    def on_test_epoch_start(self) -> None:
        """Begins the measures of ``evaluate.py``."""
        self._check_gradients()
        samples = int(self.description.get("config", {}).get("samples", TEST_SAMPLES))
        self._test = Evaluator(
            self.vae, self.infer, samples, self.labels, inference_samples=self.objective.samples, by_dimension=True
        )

    def test_step(self, batch: Any, batch_index: int) -> None:
        """Measures ``batch``, of any loader, whatever its number ``batch_index``."""
        taken = self._taken(batch)
        self._test.update(taken.x, taken.y)

    def on_test_epoch_end(self) -> None:
        """Logs the measures under ``test/``."""
        self.log_dict(logged(self._test.compute(), "test"))
        del self._test

    def predict_step(self, batch: Any, batch_index: int) -> Float[Tensor, "B M"]:
        """The posterior means of ``batch``, of any loader, whatever its number ``batch_index``."""
        x = self._taken(batch).x
        q = self.infer(x, self.vae.posterior.draw_noise(self.objective.samples, len(x), drawing(0, x.device)))
        return encoded([(q, len(x))], self.vae.posterior, self.vae.prior).mean

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Describes the model in ``checkpoint``."""
        checkpoint["lid_vae"] = self.describe()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Goes on at the step of ``checkpoint``."""
        self.step = checkpoint["lid_vae"]["step"]

    def _taken(self, batch: Any) -> Batch:
        """Any loader's ``batch`` as the model takes it; its rows are numbered through a pass of validation."""
        taken = as_batch(batch, Form(self), self._rows)
        self._rows += len(taken.x)
        return taken

    def _check_gradients(self) -> None:
        if torch.is_inference_mode_enabled() and self.inference.needs_gradient:
            raise UserError(
                f"{type(self.inference).__name__} finds q by gradients, which Lightning's inference mode forbids. Give "
                "the Trainer inference_mode=False."
            )
