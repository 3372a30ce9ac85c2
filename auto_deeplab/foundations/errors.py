"""Errors: the one exception that commands report without a traceback, and what makes it clear.

Also the statuses with which commands end, and the one line that is told of other exceptions.
"""

import difflib
import os
from collections.abc import Collection, Iterable

# Of a process that should be started again: SIGTERM came and all is saved, or a worker is lost.
# EX_TEMPFAIL of sysexits.h: "the user is invited to retry". It is not 1, which an error ends with
# and which would come again, and not 143, with which a shell reports a process that SIGTERM killed
# before it could save.
TRY_AGAIN_STATUS = 75

# Of a process that met an exception that nobody expected: EX_SOFTWARE of sysexits.h.
UNEXPECTED_STATUS = 70


_LONGEST_LINE = 500


def one_line(text: str) -> str:
    """Returns a text of a library, which may have pages, as one line of at most 500 characters."""
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]} ..."


def reason_of(error: OSError) -> str:
    """Returns why the operating system refused, in its own words."""
    return str(error) if error.errno is None else os.strerror(error.errno)


class UserError(ValueError):
    """Something that the caller gave is wrong.

    The message names the file or flag, the field, what was received and what would be right.
    """


def require_known(flag: str, values: Iterable[str], known: Collection[str]) -> None:
    """Raises a `UserError` that lists near matches for what a flag's list has and `known` not."""
    for value in values:
        if value not in known:
            raise UserError(f"--{flag}: received {value!r}{near_matches(value, known)}")


def near_matches(name: str, known: Iterable[str]) -> str:
    """Returns `"; did you mean a, b?"` with the known names that resemble `name`, else them all."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    if near:
        return f"; did you mean {', '.join(near)}?"
    return f"; known: {', '.join(known)}" if known else ""
