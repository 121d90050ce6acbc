"""The learning rate of each model, by the mean validation bound of its search's runs and by nothing else."""

from collections.abc import Sequence
from statistics import fmean

from lid_vae.report.study.study import Row

__all__ = ["choices", "chosen_rates"]


def chosen_rates(table: Sequence[Row]) -> dict[str, float]:
    """The best learning rate of each model of the rows of a ``table`` that has several.

    Of equal ones it is the smallest. An unfinished rate is not eligible.
    """
    finished = {model: _finished(rows) for model, rows in _searched(table).items()}
    return {model: _rate(max(rows, key=_bound)) for model, rows in finished.items() if rows}


def choices(table: Sequence[Row]) -> list[str]:
    """Sentences on the choice among the rows of a ``table``; none where no model has several rates."""
    searched = _searched(table)
    if not searched:
        return []
    chosen = chosen_rates(table)
    listed = "; ".join(f"{model}: {rate:g}" for model, rate in chosen.items()) or "none"
    sentences = [f"Best learning rates by the mean validation bound over seeds, no test data: {listed}."]
    for model, rows in searched.items():
        if model not in chosen:
            sentences.append(f"{model}: no rate is finished on all seeds, so none is chosen.")
        elif chosen[model] in (_rate(rows[0]), _rate(rows[-1])):
            sentences.append(f"{model}: {chosen[model]:g} is at the edge of its grid, and a better one may lie beyond.")
        eligible = {_rate(row) for row in _finished(rows)}
        lacking = [f"{rate:g}" for rate in map(_rate, rows) if rate not in eligible]
        if lacking:
            sentences.append(f"{model}: not eligible, as a seed is missing: {', '.join(lacking)}.")
    return sentences


def _searched(table: Sequence[Row]) -> dict[str, list[Row]]:
    """Rows by model, the smallest rate first, of the models whose rows differ in their rate alone."""
    models: dict[str, list[Row]] = {}
    for row in table:
        if row.setting("learning_rate") is not None:
            models.setdefault(row.model, []).append(row)
    other = ("depth", "hidden_layers", "width", "family", "map", "objective", "inference")
    return {
        model: sorted(rows, key=_rate)
        for model, rows in models.items()
        if len({_rate(row) for row in rows}) == len(rows) > 1
        and all(len({str(row.setting(name)) for row in rows}) == 1 for name in other)
    }


def _finished(rows: Sequence[Row]) -> list[Row]:
    """Those that have every seed of any of them: rates are compared on equal seeds."""
    seeds = {seed for row in rows for seed in row.expected}
    return [row for row in rows if {*row.results} == seeds]


def _bound(row: Row) -> float:
    return fmean(float(row.results[seed]["validation"]["elbo"]) for seed in row.seeds)


def _rate(row: Row) -> float:
    return float(row.setting("learning_rate"))
