"""Pictures that tell collapse, each on an axis of one's own: categories, dimensions, training, traversals."""

from lid_vae.plot.categories import categories
from lid_vae.plot.dimensions import dimensions
from lid_vae.plot.training import training
from lid_vae.plot.traversals import category_traversals, traversals

__all__ = ["categories", "category_traversals", "dimensions", "training", "traversals"]
