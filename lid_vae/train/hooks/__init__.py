"""What happens between the steps of a training: checkpoints kept, stops, restarts, schedules of the map, the clock."""

from lid_vae.train.hooks.keepers import Best, EarlyStopping, Last
from lid_vae.train.hooks.lipschitz_annealing import LipschitzAnnealing
from lid_vae.train.hooks.restart import Restart

__all__ = ["Best", "EarlyStopping", "Last", "LipschitzAnnealing", "Restart"]
