"""The decoder's inverse-Lipschitz constant as a function of the training step."""

from lid_vae.errors import UserError
from lid_vae.map.base import AdjustableMap
from lid_vae.objective.schedule import Schedule
from lid_vae.train.member import Member

__all__ = ["LipschitzAnnealing"]


class LipschitzAnnealing:
    """Before each training step, gives the decoder's map the constant that ``schedule`` has for it.

    IL-LIDVAE with annealing (Kinoshita et al. 2023): begin with a constant under which nothing can collapse, then let
    go of it. The constant lies in the map's buffers, so a checkpoint holds the one it was trained with, and its
    certificate says which. Raises ``UserError`` where the map's constant is learned, or the schedule is not positive.
    """

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule

    def before_fit(self, member: Member) -> None:
        """Raises ``UserError`` where the map of ``member`` has no constant to set."""
        _map_of(member)

    def before_step(self, member: Member) -> None:
        """Sets the constant of ``member`` to what the schedule says."""
        _map_of(member).set_inverse_lipschitz(self.schedule(member.module.step, member.module.steps))


def _map_of(member: Member) -> AdjustableMap:
    map_ = member.module.vae.likelihood.map
    if not isinstance(map_, AdjustableMap):
        raise UserError(
            f"LipschitzAnnealing sets the inverse-Lipschitz constant of a decoder map, and "
            f"{type(map_).__name__} has none. Use LIDVAE and composed_brenier with "
            "inverse_lipschitz=1."
        )
    return map_
