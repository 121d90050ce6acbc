"""A further process of a run over several devices, started by the first one with a file that says which run."""

import os
import pickle
import sys
import threading
import time
from pathlib import Path

from lid_vae.errors import UserError
from lid_vae.system.interruption import Stopped


def main(path: str, first: str) -> int:
    """Trains along by the plan pickled in ``path``; the exit status. ``first`` is the process id of the first one.

    What a user can mend that process says.
    """
    _end_with(int(first))
    from lid_vae.run.fit import follow

    try:
        follow(pickle.loads(Path(path).read_bytes()))
    except (UserError, KeyboardInterrupt, Stopped):
        return 0
    return 0


def _end_with(first: int) -> None:
    """Ends this process when the one that started it has ended, however that was."""

    def watch() -> None:
        while os.getppid() == first:
            time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=watch, name="watch", daemon=True).start()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
