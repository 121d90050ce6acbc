"""``python -m lid_vae.report``; ``--help`` lists the options."""

from lid_vae.system.invocation import tell_interrupts

if __name__ == "__main__":
    tell_interrupts("report")
    from lid_vae.command_line.report import main

    main()
