"""The batches of coming steps and their noise, drawn together: in as many kernels as those of one step."""

from collections.abc import Callable, Sequence

from lid_vae.shapes import Float, Tensor
from lid_vae.train.step.together import Together

__all__ = ["Ahead"]

LIMIT = 2**24
"""Numbers that are drawn at once; on their way they take some thirty bytes each."""
DRAWS = 10
"""Extra batches of a step that are drawn at once: as many as make a window of Lagging VAE's."""

Place = tuple[int, int]
"""A step, and the number of an extra batch of it, or 0."""
DrawX = Callable[[Sequence[Place]], Float[Tensor, "T *seeds B D"]]


class Ahead:
    """x and noise of any place, from those that were drawn together.

    ``together`` gives the noise, ``draw_x`` the batches of many places; ``alone``: there is one member, and x has no
    axis of members.
    """

    def __init__(self, together: Together, draw_x: DrawX, alone: bool) -> None:
        self.together, self.draw_x, self.alone = together, draw_x, alone
        self._many = 1
        self._held: dict[bool, dict[Place, tuple[Tensor, Tensor]]] = {False: {}, True: {}}

    def __call__(self, step: int, draw: int, end: int) -> tuple[Tensor, Tensor]:
        """Those of a ``step``, or of its ``draw``-th extra batch.

        Those of the steps before ``end`` are taken to follow.
        """
        held = self._held[draw > 0]
        if (step, draw) not in held:
            if draw == 0:
                places = [(one, 0) for one in range(step, end)]
            else:
                places = [(step, one) for one in range(draw, draw + DRAWS)]
            held = self._held[draw > 0] = self._drawn(places[: self._many])
        return held[step, draw]

    def _drawn(self, places: Sequence[Place]) -> dict[Place, tuple[Tensor, Tensor]]:
        x = self.draw_x(places)
        noise = self.together.noise_ahead(places, x.shape[-2])
        if self.alone:
            noise = noise[:, 0]
        self._many = max(1, LIMIT * len(places) // (x.numel() + noise.numel()))
        return dict(zip(places, zip(x.to(noise.dtype), noise, strict=True), strict=True))
