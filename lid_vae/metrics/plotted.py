"""A metric that draws itself, alone or in a ``MetricCollection``."""

from collections.abc import Sequence
from typing import Any

from torchmetrics import Metric

from lid_vae.shapes import Tensor

__all__ = ["PlottedMetric"]


class PlottedMetric(Metric):
    """Adds torchmetrics' ``plot`` to the measures of this room."""

    def plot(self, val: Tensor | Sequence[Tensor] | None = None, ax: Any = None) -> Any:
        """Draws a value, or several as a curve, by torchmetrics' own rules.

        Args:
            val: what ``compute`` or ``forward`` returned, or a sequence of such; None: what ``compute`` returns now.
            ax: matplotlib axes to draw on; None: a new figure.

        Returns:
            The figure and its axes.
        """
        return self._plot(val, ax)
