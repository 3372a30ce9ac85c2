"""The operations that an edge of a cell may carry."""

OPERATIONS: tuple[str, ...] = (
    "none",
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "atrous_conv_3x3",
    "atrous_conv_5x5",
)
"""Every operation's name, in the order of alpha's columns (the paper's section 3.1)."""
