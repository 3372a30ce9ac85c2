"""The operations that an edge of a cell may carry."""

from typing import Literal, get_args

Operation = Literal[
    "none",
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "atrous_conv_3x3",
    "atrous_conv_5x5",
]
"""The name of an operation."""
OPERATIONS: tuple[Operation, ...] = get_args(Operation)
"""Every operation's name, in the order of alpha's columns (the paper's section 3.1)."""
