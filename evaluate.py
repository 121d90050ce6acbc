"""Evaluate a trained model: ``python evaluate.py ckpt=<path>``; ``--help`` lists the options."""

from lid_vae.command_line import main

if __name__ == "__main__":
    main("evaluate")
