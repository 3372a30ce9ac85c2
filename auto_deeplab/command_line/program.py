"""How every command starts and ends: flags, standard streams, errors as one line, statuses."""

import contextlib
import io
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, cast

from absl import app, flags, logging

from auto_deeplab.foundations.errors import (
    UNEXPECTED_STATUS,
    UserError,
    naming_flags,
    one_line,
    reason_of,
)

# What is defined here belongs to the help of the command that asks for it.
flags.disclaim_key_flags()


_TRACEBACK = flags.DEFINE_bool("traceback", False, "Show where in the program an error arose.")


def run(main: Callable[[list[str]], None], arguments: Sequence[str] = ()) -> None:
    """Parses the flags and calls `main(argv)`.

    Args:
        main: The command.
        arguments: Names of what the command line has beside flags; all of them are needed, and are
            paths. One that ends with "..." is the last and stands for one or more.

    A `UserError` is printed as one line and ends the process with status 1; any other exception as
    one line that asks for a report, with `UNEXPECTED_STATUS`. `--traceback` shows where they arose.
    `--help` ends with 0.
    """

    def guarded_main(argv: list[str]) -> None:
        if len(argv) <= len(arguments):
            raise app.UsageError(f"expected {' '.join(arguments)}")
        unexpected = argv[1 + len(arguments) :]
        if unexpected and not "".join(arguments).endswith("..."):
            raise app.UsageError(
                f"unexpected arguments {unexpected}: flags are written --name=value"
            )
        if not flags.FLAGS["verbosity"].present:
            # Libraries report on themselves at lower levels.
            logging.set_verbosity(logging.WARNING)
        try:
            main([argv[0], *map(os.path.expanduser, argv[1:])])
        except KeyboardInterrupt:
            _end("interrupted; run the same command again to continue", status=130)
        except (UserError, BrokenPipeError):
            raise
        except Exception as error:
            _end(_report_of(error), status=UNEXPECTED_STATUS)

    _prepare_standard_streams()
    flags.declare_key_flag(_TRACEBACK.name)
    try:
        # What --help lists: the libraries that a command imports have flags of their own.
        own_flags = flags.FLAGS.get_key_flags_for_module(sys.argv[0])
        try:
            with naming_flags({flag.name for flag in own_flags}):
                app.run(guarded_main)
        except SystemExit:
            sys.stdout.flush()
            # absl ends --help with status 1, which make and shell scripts read as a failure.
            if {"--help", "-help", "--helpfull", "--helpshort"} & set(sys.argv[1:]):
                sys.exit(0)
            raise
    except BrokenPipeError:
        # The reader of our output, such as head, has seen enough.
        _discard_output()
        sys.exit(141)
    except UserError as error:
        _end(f"error: {error}", status=1)


def _prepare_standard_streams() -> None:
    """Makes the standard streams take whatever is printed, if there is any place for it.

    A stream that was closed (`>&-`) writes to nowhere: otherwise the next file that is opened would
    have its number, and receive what libraries print. An error names standard output if it cannot
    be written. Characters that a stream's encoding does not have, such as those of a file name that
    is no UTF-8, are printed as escapes.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            try:
                os.fstat(number)
                number = os.open(os.devnull, os.O_RDWR)  # It has been opened as something else.
            except OSError:
                nowhere = os.open(os.devnull, os.O_RDWR)
                if nowhere != number:
                    os.dup2(nowhere, number)
                    os.close(nowhere)
            stream = open(number, mode, encoding="utf-8", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)
    stdout, stderr = (cast(io.TextIOWrapper, stream) for stream in (sys.stdout, sys.stderr))
    stderr.reconfigure(errors="backslashreplace")
    output = _StandardOutput(stdout.fileno(), "w", closefd=False)
    sys.stdout = io.TextIOWrapper(
        output if stdout.write_through else io.BufferedWriter(output),
        encoding=stdout.encoding,
        errors="backslashreplace",
        line_buffering=stdout.line_buffering,
        write_through=stdout.write_through,
    )


class _StandardOutput(io.FileIO):
    """Tells its own errors from those of other files."""

    def write(self, content: Any, /) -> int:
        """Writes bytes, as `io.FileIO.write`.

        Raises:
            UserError: The operating system refuses.
        """
        try:
            return super().write(content)
        except BrokenPipeError:
            raise
        except OSError as error:
            _discard_output()
            raise UserError(f"standard output: cannot be written: {reason_of(error)}") from error


def _discard_output() -> None:
    """Lets standard output go nowhere: Python would complain again when it closes it."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _end(message: str, status: int) -> NoReturn:
    """Prints a message, with the traceback of the present exception if asked for, and ends."""
    # What is no longer to be told to anybody changes nothing of the status.
    with contextlib.suppress(OSError):
        if flags.FLAGS.is_parsed() and _TRACEBACK.value:
            traceback.print_exc()
        print(message, file=sys.stderr, flush=True)
    sys.exit(status)


def _report_of(error: Exception) -> str:
    """Returns the one line on an exception that nobody expected."""
    shown = one_line(str(error))
    return (
        f"error: unexpected {type(error).__name__}{': ' if shown else ''}{shown}; please report "
        "this, with what the same command prints with --traceback"
    )
