"""The type checker that the tests wrap around every signature: beartype, with an int welcome where a float is meant."""

from beartype import BeartypeConf, beartype

__all__ = ["typechecker"]

typechecker = beartype(conf=BeartypeConf(is_pep484_tower=True))
