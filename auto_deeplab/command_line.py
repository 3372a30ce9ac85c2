"""What every command shares: start-up, clean error messages, near matches for mistyped names."""

import difflib
import os
import re
import sys
from collections.abc import Callable, Collection, Iterable, Sequence

from absl import app, flags, logging

from auto_deeplab.errors import UserError

# What is defined here belongs to the help of the command that asks for it.
flags.disclaim_key_flags()


def run(main: Callable[[list[str]], None], arguments: Sequence[str] = ()) -> None:
    """Parses the flags and calls `main(argv)`.

    Args:
      main: the command.
      arguments: names of what the command line has beside flags; all of them are needed. One that
        ends with "..." is the last and stands for one or more.

    A `UserError` is printed as one line and ends the process with status 1; `--help` ends with 0.
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
            main(argv)
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(1)
        except KeyboardInterrupt:
            print("interrupted; run the same command again to continue", file=sys.stderr)
            sys.exit(130)

    try:
        try:
            app.run(guarded_main)
        except SystemExit:
            sys.stdout.flush()
            # absl ends --help with status 1, which make and shell scripts read as a failure.
            if {"--help", "-help", "--helpfull", "--helpshort"} & set(sys.argv[1:]):
                sys.exit(0)
            raise
    except BrokenPipeError:
        # The reader of our output, such as head, has seen enough. Python would complain once more
        # when it closes the pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)


def define_checkpoint_flag() -> flags.FlagHolder[str]:
    """Defines `--checkpoint`, which says with which weights of a training a command works."""
    return flags.DEFINE_enum(
        "checkpoint",
        "latest",
        ["latest", "best"],
        "Whose weights: of the newest checkpoint of --model_dir, or of the one with the best "
        "validation mIOU.",
    )


def parse_size(text: str, flag: str = "image_size") -> tuple[int, int]:
    """Returns (height, width) of a flag's HEIGHTxWIDTH.

    Raises:
      UserError: it is none.
    """
    size = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", text)
    if not size:
        raise UserError(
            f"--{flag}: received {text!r}; expected HEIGHTxWIDTH in pixels, such as 1025x2049"
        )
    return int(size[1]), int(size[2])


def parse_scales(values: Sequence[str]) -> tuple[float, ...]:
    """Returns the factors of the list flag --scales.

    Raises:
      UserError: there is none, or one is not above 0 and at most 8.
    """
    try:
        scales = tuple(float(value) for value in values)
    except ValueError:
        scales = ()
    if not scales or not all(0 < scale <= 8 for scale in scales):
        raise UserError(
            f"--scales: received {','.join(values)!r}; expected factors above 0, to 8, such as "
            "0.5,0.75,1"
        )
    return scales


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
