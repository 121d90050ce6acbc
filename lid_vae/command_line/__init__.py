"""The command line of train.py and evaluate.py, without torch: options put in Hydra's terms, errors in a paragraph."""

from lid_vae.command_line.arguments import rewrite
from lid_vae.command_line.program import main

__all__ = ["main", "rewrite"]
