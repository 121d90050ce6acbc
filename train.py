"""Train models: ``python train.py model=lidgmvae data=mnist -m seed=0-9``; ``--help`` lists the options."""

from lid_vae.system.invocation import tell_interrupts

if __name__ == "__main__":
    tell_interrupts("train")
    from lid_vae.command_line import main  # which takes a moment

    main("train")
