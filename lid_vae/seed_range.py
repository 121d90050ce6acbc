"""Seeds as people write them: ``0-9``, ``0-2,7``, ``3``."""

import re

from lid_vae.errors import UserError

__all__ = ["is_seed_range", "parse", "seed_text", "sweep_text"]

_PART = re.compile(r"\s*(\d+)(?:\s*-\s*(\d+))?\s*", re.ASCII)
_LIMIT = 1_000_000  # a slip of the finger such as 0-99999999999 should say so rather than fill the memory


def is_seed_range(text: str) -> bool:
    """Whether ``text`` holds a range or a list of seeds, right or wrong, rather than one seed or Hydra's own syntax."""
    return re.fullmatch(r"[\d\s,-]*\d\s*[,-][\d\s,-]*", text, re.ASCII) is not None


def parse(text: str) -> list[int]:
    """The seeds in ``text``, in the order written, each once; ``UserError`` for a backwards or malformed range."""
    seeds: dict[int, None] = {}
    for part in text.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise UserError(
                f"seed={text} is not a list of seeds: {part.strip()!r} is neither a whole number nor a range. "
                "Write seed=3, seed=0-9 or seed=0-2,7."
            )
        first = int(match[1])
        last = first if match[2] is None else int(match[2])
        if last < first:
            raise UserError(f"seed={text} runs backwards. Write the smaller seed first: seed={last}-{first}.")
        if last - first >= _LIMIT:
            raise UserError(f"seed={text} names more than {_LIMIT:,} seeds. Write a shorter range.")
        seeds.update(dict.fromkeys(range(first, last + 1)))
    return list(seeds)


def sweep_text(seeds: list[int]) -> str:
    """The seeds in Hydra's sweep syntax: ``range(0,10)`` where they are consecutive, else ``0,1,2,7``."""
    if len(seeds) > 1 and seeds == list(range(seeds[0], seeds[0] + len(seeds))):
        return f"range({seeds[0]},{seeds[-1] + 1})"
    return ",".join(map(str, seeds))


def seed_text(seeds: list[int]) -> str:
    """The seeds as one would type them: ``0-2,7``."""
    ranges: list[list[int]] = []
    for seed in seeds:
        if ranges and seed == ranges[-1][1] + 1:
            ranges[-1][1] = seed
        else:
            ranges.append([seed, seed])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)
