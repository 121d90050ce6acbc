"""A workspace of Weights & Biases for ten seeds: a curve a model, the mean over its seeds within their range."""

import warnings
from typing import TYPE_CHECKING, Any

from lid_vae.appearance import MODELS
from lid_vae.errors import UserError
from lid_vae.log.wandb_run import COLLAPSE, FIT, PICTURES, STEP, TEXTS, placed
from lid_vae.shown import CORE

if TYPE_CHECKING:
    from wandb_workspaces.workspaces import Workspace

__all__ = ["save_workspace", "specification", "workspace"]


def workspace(entity: str, project: str = "lid_vae", name: str = "Seeds by model") -> "Workspace":
    """A workspace ``name`` for the runs of ``project`` of ``entity``, a user or a team: built here, nowhere saved.

    Runs are grouped by model, each in its colour of ``lid_vae.appearance``; sections are Collapse and Fit, with the
    validation curves of the registry of measures, then Pictures and Texts. Raises ``UserError`` without the package
    wandb-workspaces.
    """
    try:
        with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # its own, of pydantic
            import wandb_workspaces.reports.v2 as reports
            import wandb_workspaces.workspaces as workspaces
            from wandb_workspaces.expr import Config
    except ImportError as error:
        raise UserError("A workspace needs the package wandb-workspaces: pip install 'lid_vae[workspace]'.") from error

    sections: dict[str, list[Any]] = {COLLAPSE: [], FIT: []}
    for number in CORE:
        if number.curve is None:
            continue
        key = placed(f"valid/{number.curve}")
        plot = reports.LinePlot(
            title=number.label,
            x=STEP,
            y=[key],
            title_x="step",
            aggregate=True,
            groupby_aggfunc="mean",
            groupby_rangefunc="minmax",
        )
        sections[key.partition("/")[0]].append(plot)
    sections[COLLAPSE].append(_media(f"{COLLAPSE}/valid/categories_by_label"))
    sections[PICTURES] = [
        _media(*(f"{PICTURES}/valid/{name}" for name in ("latents", "usage", "activity"))),
        _media(*(f"{PICTURES}/valid/{name}" for name in ("samples", "reconstructions", "categories"))),
    ]
    sections[TEXTS] = [_media(f"{TEXTS}/valid/texts")]
    return workspaces.Workspace(
        entity=entity,
        project=project,
        name=name,
        sections=[
            workspaces.Section(name=section, panels=panels, is_open=section in (COLLAPSE, FIT))
            for section, panels in sections.items()
        ],
        settings=workspaces.WorkspaceSettings(x_axis=STEP, smoothing_type="none"),
        runset_settings=workspaces.RunsetSettings(
            groupby=[Config("model")], group_colors={model: look.colour for model, look in MODELS.items()}
        ),
    )


def specification(built: "Workspace") -> str:
    """What ``built`` sends to the server: its specification, as JSON."""
    return str(built._to_model().spec.model_dump_json(by_alias=True, exclude_none=True, indent=2))


def save_workspace(built: "Workspace") -> str:
    """Saves ``built`` at the server that one is logged in to: its address. Raises ``UserError`` where that fails."""
    from wandb.errors import Error

    from lid_vae.log.wandb_logger import logged_in

    if not logged_in():
        raise UserError("Saving a workspace needs a login. Run `wandb login`; spec=<file> writes it down without one.")
    try:
        return str(built.save().url)
    except (Error, OSError, ValueError) as error:
        raise UserError(f"The workspace was not saved: {error}") from error


def _media(*keys: str) -> Any:
    from wandb_workspaces.reports.v2 import MediaBrowser

    return MediaBrowser(media_keys=list(keys))
