"""How commands end: the one exception that they report without a traceback, and statuses.

What other exceptions say is made fit to be reported, too.
"""

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


class UserError(ValueError):
    """Something that the caller gave is wrong.

    The message names the file or flag, the field, what was received and what would be right.
    """
