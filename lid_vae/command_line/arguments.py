"""From what people type to what Hydra accepts.

Hydra's argument parser rejects overrides on both sides of a flag, its grammar has no ``0-9``, and it reads ``=``,
``,``, quotes, brackets and outer spaces in a value as syntax. ``rewrite`` puts flags first, turns seed ranges into
sweeps, and quotes the values of options that hold text, by this rule:

- ``interpolate=``: any value is text, to the letter (``${`` too), except ``null``.
- ``ckpt= beside= text= interpolate_file= paths.*=``: any value is text, except ``null``, a value already in Hydra's
  quotes and, with ``-m``, ``choice(a,b)``. ``${...}`` stays an interpolation.
- ``data.*=``: as ``ckpt=``, and what Hydra reads as a number, a truth value, a list ``[...]`` or a mapping ``{...}``
  stays one; with ``-m`` a comma list of numbers, truth values and plain words (letters, digits, ``_`` and ``-``) and
  ``range(...)`` stay sweeps. Without ``-m`` a comma list of numbers is left for Hydra to refuse.
"""

import difflib
import re
from collections.abc import Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override, Quote, QuotedString
from hydra.errors import HydraException

from lid_vae import seed_range
from lid_vae.errors import UserError
from lid_vae.run.names import OPTIONS, PRESETS

__all__ = ["check_flags", "in_todays_words", "is_multirun", "rewrite", "split"]

# Hydra's flags, and how many words follow each ("?": one, where it is not an override).
_FLAGS: dict[str, int | str] = {
    **dict.fromkeys(["--help", "-h", "--hydra-help", "--version", "--resolve", "--run", "-r"], 0),
    **dict.fromkeys(["--multirun", "-m", "--shell-completion", "-sc"], 0),
    **dict.fromkeys(["--cfg", "-c", "--package", "-p", "--experimental-rerun"], 1),
    **dict.fromkeys(["--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd"], 1),
    **dict.fromkeys(["--info", "-i"], "?"),
}
# What the program is to do: one of them.
_DEEDS = {"--run": "-r", "--multirun": "-m", "--cfg": "-c", "--info": "-i", "--shell-completion": "-sc"}
_SHELLS = re.compile(r"(install|uninstall|query)=(bash|fish|zsh)")
_TEXT = re.compile(r"ckpt|beside|interpolate_file|text|paths\..+")
_SEEDS = re.compile(r"\s*(\d+|\[\s*\d+\s*(,\s*\d+\s*)*\])\s*", re.ASCII)
_OPTION = re.compile(r"([+~]*)([a-z_]+)((?:\.[\w.]+)?)(=.*)?", re.DOTALL)
_PLAIN_WORD = re.compile(r"[A-Za-z_][\w-]*", re.ASCII)


def rewrite(argv: Sequence[str]) -> list[str]:
    """``argv`` (less the program's name) for Hydra. Raises ``UserError`` for a flag or a seed that it cannot read."""
    flags, overrides = split(argv)
    multirun = is_multirun(flags, overrides)
    shown = next((flag for flag in flags if flag.partition("=")[0] in ("--cfg", "-c", "--info", "-i")), None)
    if shown and multirun:
        raise UserError(f"{shown} shows the configuration of one run. Leave out -m, and give one value to each option.")
    foreign = any(re.fullmatch(r"\+*hydra/sweeper=(?!lid_vae$).*", override) for override in overrides)
    return flags + [_rewrite_override(override, multirun, foreign) for override in overrides]


def check_flags(argv: Sequence[str]) -> None:
    """Raises ``UserError`` for flags in ``argv`` that Hydra refuses by a traceback, or that run a file's code."""
    flags, overrides = split(argv)
    names = {flag.partition("=")[0] for flag in flags}
    if "--experimental-rerun" in names:
        raise UserError(
            "--experimental-rerun runs what a pickled file holds, which may be any code: it was refused and nothing in "
            "the file was run. The command of a run, which its result.json has, does it again with force=true."
        )
    asked = [long for long, short in _DEEDS.items() if {long, short} & names]
    if len(asked) > 1 and not {"--help", "-h", "--hydra-help", "--version"} & names:
        raise UserError(f"{' and '.join(asked)} are different things to do. Leave out all but one.")
    if "--resolve" in names and not {"--cfg", "-c", "--help", "-h"} & names:
        raise UserError("--resolve is about a configuration that is shown. Say so too: --cfg job --resolve.")
    if asked == ["--shell-completion"] and len([word for word in overrides if _SHELLS.fullmatch(word)]) != 1:
        raise UserError(
            "--shell-completion needs one thing to do and a shell: install=, uninstall= or query=, with bash, zsh or "
            "fish, as in -sc install=bash."
        )


def in_todays_words(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """``argv`` with options and choices that were renamed under their names of today, and a line on each."""
    words, remarks = [], []
    for word in argv:
        found = _OPTION.fullmatch(word)
        now = word
        if found is not None:
            sign, group, rest, value = found.groups(default="")
            for (of, former), choice in PRESETS.items():
                if group == of and not rest:
                    value = re.sub(rf"(?<![\w.-]){former}(?![\w.-])", choice, value)
            now = f"{sign}{OPTIONS.get(group, group)}{rest}{value}"
        if now != word:
            remarks.append(f"{word} is now written {now}; the former name means the same.")
        words.append(now)
    return words, remarks


def is_multirun(flags: Sequence[str], overrides: Sequence[str]) -> bool:
    """Whether ``flags`` and ``overrides``, as ``split`` gives them, ask for a sweep."""
    return "-m" in flags or "--multirun" in flags or "hydra.mode=MULTIRUN" in overrides


def split(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """The flags in ``argv`` with the words that belong to them, and the overrides."""
    flags: list[str] = []
    overrides: list[str] = []
    words = list(argv)
    while words:
        word = words.pop(0)
        if not word.startswith("-"):
            overrides.append(word)
            continue
        name, equals, _ = word.partition("=")
        if name not in _FLAGS:
            raise UserError(_unknown_flag(word))
        flags.append(word)
        takes = 0 if equals else _FLAGS[name]
        if words and (takes == 1 or (takes == "?" and "=" not in words[0] and not words[0].startswith("-"))):
            flags.append(words.pop(0))
    return flags, overrides


def _unknown_flag(word: str) -> str:
    bare = word.lstrip("-")
    if "=" in bare:
        return f"{word} is not a flag. Options are written without dashes: {bare}"
    near = difflib.get_close_matches(word.partition("=")[0], _FLAGS, n=1)
    hint = f"Did you mean {near[0]}?" if near else f"Options are written without dashes, as in {bare}=<value>."
    return f"{word} is not a flag. {hint} --help lists the options."


def _rewrite_override(override: str, multirun: bool, foreign: bool) -> str:
    key, equals, value = override.partition("=")
    name = key.lstrip("+").strip()
    if not equals or key.startswith("~"):
        return override
    if name == "seed":
        return f"{key}={_seed(value, multirun, foreign)}"
    if name == "interpolate":
        return override if value == "null" else f"{key}={_quote(_without_interpolation(value))}"
    if _TEXT.fullmatch(name) or name.startswith("data."):
        return (
            override
            if _stays(key, value, multirun, only_text=not name.startswith("data."))
            else f"{key}={_quote(value)}"
        )
    return override


def _seed(value: str, multirun: bool, foreign: bool) -> str:
    """``foreign``: another sweeper is to see one run of several seeds, not several values to choose from."""
    if seed_range.is_seed_range(value):
        seeds = seed_range.parse(value)
        value_for_hydra = f"[{','.join(map(str, seeds))}]" if foreign else seed_range.sweep_text(seeds)
    elif _SEEDS.fullmatch(value) or "(" in value or value.startswith("${"):
        value_for_hydra = value
    else:
        raise UserError(f"seed={value} is not a seed. Write a whole number from 0, or with -m a range: -m seed=0-9.")
    if not multirun and (seed_range.is_seed_range(value) or "(" in value):
        raise UserError(f"seed={value} asks for several runs. Add -m to run them all: -m seed={value}")
    return value_for_hydra


def _stays(key: str, value: str, multirun: bool, only_text: bool) -> bool:
    """Whether Hydra reads ``value`` as the user means it, so that it needs no quotes."""
    try:
        parsed = OverridesParser.create().parse_override(f"{key}={value}")
    except HydraException:
        return False
    read = parsed._value
    if read is None or isinstance(read, QuotedString):
        return read is not None or value.strip().lower() in ("", "null")
    if parsed.is_sweep_override():
        return _sweep_stays(parsed, multirun, only_text)
    if isinstance(read, str):
        return read == value
    return not only_text


def _sweep_stays(parsed: Override, multirun: bool, only_text: bool) -> bool:
    sweep = parsed._value
    if not isinstance(sweep, ChoiceSweep):
        return multirun and not only_text  # range(...), interval(...), glob(...)
    if not sweep.simple_form:
        return multirun
    elements = sweep.list
    if only_text:
        return False
    if multirun:
        return all(not isinstance(e, str) or _PLAIN_WORD.fullmatch(e) for e in elements)
    return all(isinstance(e, int | float) for e in elements)


def _quote(text: str) -> str:
    return QuotedString(text, Quote.single).with_quotes()


def _without_interpolation(text: str) -> str:
    r"""The text as OmegaConf escapes it: ``${`` becomes ``\${``, and backslashes before it double."""
    return re.sub(r"(\\*)\$\{", lambda match: match[1] * 2 + r"\${", text)
