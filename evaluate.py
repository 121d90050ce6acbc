"""Evaluate a trained model: ``python evaluate.py ckpt=<path>``; ``--help`` lists the options."""

from lid_vae.system.invocation import begin

if __name__ == "__main__":
    begin("evaluate")
    from lid_vae.command_line import main  # which takes a moment

    main("evaluate")
