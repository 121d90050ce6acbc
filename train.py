"""Train models: ``python train.py model=lidgmvae data=mnist -m seed=0-9``; ``--help`` lists the options."""

from lid_vae.system.invocation import begin

if __name__ == "__main__":
    begin("train")
    from lid_vae.command_line import main  # which takes a moment

    main("train")
