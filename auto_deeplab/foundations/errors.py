"""Errors: the one exception that commands report without a traceback, and what makes it clear.

Also the statuses with which commands end, and the one line that is told of other exceptions.
"""

import contextlib
import difflib
import os
import shlex
from collections.abc import Collection, Iterable, Iterator

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

    The message names the file or argument (see `argument`), the field, what was received and what
    would be right.
    """


_NO_VALUE = object()
# What the command that this process runs has as flags; a program that is no command has none.
_flags: Collection[str] = ()


def argument(name: str, value: object = _NO_VALUE) -> str:
    """Returns an argument as a message names it: in the words of the one who gave it.

    Who calls `write(path, overwrite)` in a program knows `path` and `overwrite=True`; who calls the
    command that does so knows `--path` and `--overwrite`. So library code calls this function for
    each argument that a message blames, receives or advises, under the name that parameter and flag
    have in common, and writes no "--" itself. Only a command says that names are flags
    (`naming_flags`), and only those that it has.

    The name is chosen where the message is made, not where it is printed: until then a message may
    have become a part of another, of a list or of a log, and nothing has to be found in text again.
    That takes a setting of the process, and is exact, as a process is one command or none.

    Args:
        name: The parameter's name.
        value: What it was given, or might be.

    Returns:
        `name` or `name='value'`; where the command has a flag of that name `--name` or
        `--name=value`, quoted for a shell if it has to be, with commas between the items of a
        sequence; for True `--name`.
    """
    is_flag = name in _flags
    shown = f"--{name}" if is_flag else name
    if value is _NO_VALUE or (is_flag and value is True):
        return shown
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if not is_flag:
        return f"{shown}={value!r}"
    if isinstance(value, list | tuple):
        value = ",".join(map(str, value))
    return f"{shown}={shlex.quote(str(value))}"


@contextlib.contextmanager
def naming_flags(names: Collection[str]) -> Iterator[None]:
    """Lets `argument` name these as flags, while a command that has them runs."""
    global _flags
    before, _flags = _flags, names
    try:
        yield
    finally:
        _flags = before


def require_known(name: str, values: Iterable[str], known: Collection[str]) -> None:
    """Raises a `UserError` with near matches if an argument's list has what `known` has not.

    Args:
        name: The argument.
        values: What it was given.
        known: What it may be given.
    """
    for value in values:
        if value not in known:
            raise UserError(f"{argument(name)}: received {value!r}{near_matches(value, known)}")


def near_matches(name: str, known: Iterable[str]) -> str:
    """Returns `"; did you mean a, b?"` with the known names that resemble `name`, else them all."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    if near:
        return f"; did you mean {', '.join(near)}?"
    return f"; known: {', '.join(known)}" if known else ""
