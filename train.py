"""Train models: ``python train.py model=lidgmvae data=mnist -m seed=0-9``; ``--help`` lists the options."""

from lid_vae.command_line import main

if __name__ == "__main__":
    main("train")
