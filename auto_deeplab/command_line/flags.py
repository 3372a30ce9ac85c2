"""Kinds of flags that several commands have: paths, sizes, scales, a checkpoint."""

import os
import re
from collections.abc import Sequence

from absl import flags

from auto_deeplab.foundations.amounts import UNITS
from auto_deeplab.foundations.errors import UserError

# What is defined here belongs to the help of the command that asks for it.
flags.disclaim_key_flags()


class PathParser(flags.ArgumentParser):
    """Reads a path, in which ~ is the home folder as in a shell.

    Shells themselves leave --flag=~/folder as it is.
    """

    def parse(self, argument: str) -> str:
        """Returns the path."""
        return os.path.expanduser(super().parse(argument))


class PathListParser(flags.ListParser):
    """Reads paths with commas between them, each as `PathParser` does."""

    def parse(self, argument: str | list[str]) -> list[str]:
        """Returns the paths."""
        return [os.path.expanduser(path) for path in super().parse(argument)]


def define_path(name: str, default: str | None, help: str, **options) -> flags.FlagHolder:
    """Defines a flag that takes a path; `options` are those of absl's DEFINE functions."""
    return flags.DEFINE(PathParser(), name, default, help, **options)


def define_paths(name: str, default: str | None, help: str, **options) -> flags.FlagHolder:
    """Defines a flag that takes several paths, with commas between them."""
    return flags.DEFINE(
        PathListParser(), name, default, help, serializer=flags.CsvListSerializer(","), **options
    )


def define_checkpoint_flag() -> flags.FlagHolder[str]:
    """Defines `--checkpoint`, which says with which weights of a training a command works."""
    return flags.DEFINE_enum(
        "checkpoint",
        "latest",
        ["latest", "best"],
        "Whose weights: of the newest checkpoint of --model_dir, or of the one with the best "
        "validation mIOU.",
    )


def parse_amount(text: str) -> float | None:
    """Returns a number that K, M or B may follow, such as 9.5M; None for what is none."""
    match = re.fullmatch(rf"(\d+(?:\.\d+)?)([{''.join(UNITS)}]?)", text)
    return float(match[1]) * UNITS[match[2]] if match else None


def parse_size(text: str, flag: str = "image_size") -> tuple[int, int]:
    """Returns (height, width) of a flag's HEIGHTxWIDTH.

    Raises:
        UserError: It is none.
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
        UserError: There is none, or one is not above 0 and at most 8.
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
