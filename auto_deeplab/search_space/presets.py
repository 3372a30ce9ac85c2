"""The architectures that `Genotype.load` knows, in the form that genotype.json has."""

from typing import Any

# The cell that the paper's authors published (figure 3), with its operations in their order.
_PUBLISHED_CELL = [
    [
        {"input": "prev_prev", "op": "atrous_conv_5x5"},
        {"input": "prev", "op": "sep_conv_3x3"},
    ],
    [
        {"input": "prev_prev", "op": "sep_conv_3x3"},
        {"input": "prev", "op": "atrous_conv_3x3"},
    ],
    [
        {"input": "block2", "op": "sep_conv_3x3"},
        {"input": "prev_prev", "op": "sep_conv_3x3"},
    ],
    [
        {"input": "block3", "op": "sep_conv_5x5"},
        {"input": "block1", "op": "sep_conv_5x5"},
    ],
    [
        {"input": "block2", "op": "sep_conv_5x5"},
        {"input": "block4", "op": "atrous_conv_5x5"},
    ],
]

# The layers of figure 2's paths are argued in docs/networks.md.
_NETWORKS = {
    # What the paper's authors published (figure 3).
    "published": [4, 4, 4, 8, 16, 8, 16, 16, 32, 32, 16, 8],
    # Figure 2a: down to stride 16, and on at that stride.
    "deeplabv3": [4, 8, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16],
    # Figure 2b: down to stride 32 and up to 4, each half the mirror image of the other.
    "conv_deconv": [4, 8, 8, 16, 16, 32, 32, 16, 16, 8, 8, 4],
    # Figure 2c: down to stride 32 and up to 4, twice; in 12 layers there is one way to do it.
    "stacked_hourglass": [8, 16, 32, 16, 8, 4, 8, 16, 32, 16, 8, 4],
}

PRESETS: dict[str, dict[str, Any]] = {
    name: {"format": 1, "name": name, "network": network, "cell": _PUBLISHED_CELL}
    for name, network in _NETWORKS.items()
}
