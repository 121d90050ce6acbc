"""The verdict of a report: which dimensions are collapsed, by which rule, and how surely."""

from math import log

from lid_vae.diagnosis.report import Dimension, LatentReport, Report

__all__ = ["ranges", "verdict"]

SURE = 0.99
# Nats: nearer to the logarithm of the number of examples, MI is held down by it.
NEAR = 1.5
# Nats: a divergence below it is as good as none, above it a dimension that the rule calls inactive says so anyway.
SLIGHT, SUBSTANTIAL = 0.01, 0.1


def verdict(report: Report) -> str:
    """A line or two for each block of ``report``."""
    return "\n".join(line for block in report.latent.values() for line in _block(block))


def _block(block: LatentReport) -> list[str]:
    return _categorical(block) if block.kind == "categorical" else _continuous(block)


def _continuous(block: LatentReport) -> list[str]:
    off = [one for one in block.dimensions if not one.active]
    sure = [one for one in off if one.confidence >= SURE]
    unsure = [one for one in block.dimensions if one.confidence < SURE]
    threshold, count = block.dimensions[0].threshold, len(block.dimensions)
    rule = f"Var E[{block.name}_d | x] below {threshold:g} of the prior variance"
    if sure and len(sure) == count:
        lines = [f"Collapsed: all {count} dimensions of {block.name} ({rule}; {_surely(sure)}).{_kl_words(sure)}"]
    elif sure:
        lines = [
            f"Partly collapsed: {_dimensions(sure)} of {block.name}, {len(sure)} of {count} ({rule}; "
            f"{_surely(sure)}).{_kl_words(sure)}"
        ]
    else:
        lines = [f"Not collapsed: no dimension of {block.name} is surely inactive, of {count} ({rule})."]
    if unsure:
        likely = "; ".join(
            f"{one.number} ({'active' if one.active else 'inactive'}, {one.confidence:.0%} sure)" for one in unsure[:8]
        )
        more = f" and {len(unsure) - 8} more" if len(unsure) > 8 else ""
        lines.append(f"Undecided, too near the threshold for {_examples(block)}: {likely}{more}.")
    odd = [one for one in sure if one.kl is not None and one.kl.interval[0] > SUBSTANTIAL]
    if odd:
        lines.append(
            f"Yet {_dimensions(odd)} of {block.name} {'differs' if len(odd) == 1 else 'differ'} from the prior by up "
            f"to {max(float(one.kl) for one in odd if one.kl is not None):.2f} nats: q has a constant mean and another "
            "shape than the prior, the same for every x or changing with it."
        )
    apart = [one for one in block.dimensions if one.active != one.active_absolute]
    if apart:
        lines.append(
            f"The absolute rule (variance {threshold:g}, whatever the prior's) says otherwise of {_dimensions(apart)}."
        )
    lines.append(_information(block))
    if block.mi.estimate > (most := log(block.aggregate)) - NEAR:
        lines.append(
            f"Of {block.aggregate:,} examples no MI above log {block.aggregate:,} = {most:.2f} nats can be seen; more "
            "of them bring its bounds together."
        )
    return lines


def _categorical(block: LatentReport) -> list[str]:
    most = block.mi.interval[1]
    count = len(block.dimensions)
    limit = log(count)
    used = sum(share >= 0.01 / count for share in block.usage or ())
    if most < SLIGHT:
        first = f"Collapsed: the category {block.name} tells nothing of x"
    elif block.mi.interval[1] < 0.1 * limit:
        first = f"Nearly collapsed: the category {block.name} tells little of x"
    else:
        first = f"Not collapsed: the category {block.name} tells of x"
    words = f"{first}; MI is {_enclosed(block)} of at most log {count} = {limit:.2f}."
    off = [one for one in block.dimensions if not one.active]
    if off and len(off) < count:
        words += (
            f" By active units {_dimensions(off, 'category', 'categories')} {'is' if len(off) == 1 else 'are'} dead "
            f"({_surely(off)}); {used} of {count} are used."
        )
    return [words]


def _information(block: LatentReport) -> str:
    return f"{block.name} tells {_enclosed(block)} of x (MI), of {block.kl} that it differs from the prior (KL)."


def _enclosed(block: LatentReport) -> str:
    """With its interval where that is worth saying."""
    return str(block.mi)


def _kl_words(dimensions: list[Dimension]) -> str:
    """How large the divergence of any of them is at most, as a second opinion."""
    found = [one.kl for one in dimensions if one.kl is not None and not one.kl.bound]
    if len(found) < len(dimensions):
        return ""
    most = max(one.interval[1] for one in found)
    if most < SLIGHT:
        return f" KL agrees: each is within {SLIGHT:g} nats of the prior."
    return f" Their KL is at most {most:.2g} nats each." if most <= SUBSTANTIAL else ""


def _surely(dimensions: list[Dimension]) -> str:
    """The least confidence of any."""
    least = min(one.confidence for one in dimensions)
    return "more than 99.9% sure of each" if least > 0.999 else f"at least {100 * least:.1f}% sure of each"


def _dimensions(dimensions: list[Dimension], one: str = "dimension", several: str = "dimensions") -> str:
    return f"{one if len(dimensions) == 1 else several} {ranges([each.number for each in dimensions])}"


def _examples(block: LatentReport) -> str:
    return f"{block.au.examples:,} examples"


def ranges(numbers: list[int]) -> str:
    """Sorted ``numbers`` as people write them: ``0-3, 7``."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ", ".join(f"{part[0]}-{part[-1]}" if len(part) > 2 else ", ".join(map(str, part)) for part in parts)
