"""``lid-vae wandb workspace``: a workspace of Weights & Biases for the seeds of models."""

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from lid_vae.errors import UserError
from lid_vae.system.files import write_atomic
from lid_vae.system.invocation import CONSOLE

__all__ = ["main"]

OPTIONS = {"entity": None, "project": "lid_vae", "name": "Seeds by model", "spec": None}
USAGE = f"""\
Saves a workspace at Weights & Biases: a curve a model, the mean over its seeds within their range.

  {CONSOLE} wandb workspace entity=<user or team>
  {CONSOLE} wandb workspace entity=<user or team> spec=workspace.json

entity   whose project it is
project  the project that the runs are in (lid_vae)
name     what the workspace is called (Seeds by model)
spec     a file: the specification is written into it and nothing is saved, so no login is needed

It needs the package wandb-workspaces: pip install 'lid_vae[workspace]'.
"""


def main(words: Sequence[str]) -> None:
    """Do what ``words`` say: ``workspace`` and its options. Raises ``UserError`` for others."""
    if not words or words[0] in ("-h", "--help", "help") or "--help" in words:
        print(USAGE, end="")
        return
    if words[0] != "workspace":
        raise UserError(f"There is no {CONSOLE} wandb {words[0]}. Write {CONSOLE} wandb workspace, or --help.")
    options = dict(OPTIONS)
    for word in words[1:]:
        name, equals, value = word.partition("=")
        if name not in OPTIONS or not equals or not value:
            near = get_close_matches(name, OPTIONS, n=1)
            hint = f" Did you mean {near[0]}=?" if near else ""
            raise UserError(f"{word} is no option of {CONSOLE} wandb workspace.{hint} It takes {'=, '.join(OPTIONS)}=.")
        options[name] = value
    if options["entity"] is None:
        raise UserError(f"Whose project is it? Write {CONSOLE} wandb workspace entity=<user or team>.")
    from lid_vae.log.workspace import save_workspace, specification, workspace

    built = workspace(str(options["entity"]), str(options["project"]), str(options["name"]))
    if options["spec"] is None:
        print(f"workspace   {save_workspace(built)}")
        return
    path = Path(options["spec"])
    write_atomic(path, specification(built) + "\n")
    print(f"workspace   {path} (not saved: leave out spec= for that)")
