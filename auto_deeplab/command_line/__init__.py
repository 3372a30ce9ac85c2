"""What every command shares: how it runs, and flags that several of them have."""

from auto_deeplab.command_line.flags import (
    PathParser,
    define_checkpoint_flag,
    define_path,
    define_paths,
    parse_amount,
    parse_scales,
    parse_size,
)
from auto_deeplab.command_line.program import run

__all__ = [
    "PathParser",
    "define_checkpoint_flag",
    "define_path",
    "define_paths",
    "parse_amount",
    "parse_scales",
    "parse_size",
    "run",
]
