"""The one exception for mistakes that a user can mend."""

__all__ = ["UserError"]


class UserError(ValueError):
    """A mistake in options, data or files, told in one paragraph: what, where, and how to mend it.

    The command line prints the message without a traceback and exits with status 1.
    """
