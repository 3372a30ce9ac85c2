"""The flags that set a supernet and its batches, for benchmarks of a search's steps."""

from collections.abc import Callable

from absl import flags

# They are those of the benchmark that asks for them.
flags.disclaim_key_flags()

_HELP = {
    "crop": "Height and width of the images.",
    "batch": "Images a step.",
    "layers": "L, layers of the trellis.",
    "blocks": "B, blocks of a cell.",
    "filters": "F, filters at stride 4.",
    "classes": "Classes.",
}


def define_flags(**defaults: int) -> Callable[[], dict[str, int]]:
    """Defines --crop, --batch, --layers, --blocks, --filters and --classes.

    Args:
        defaults: Each one's.

    Returns:
        What reads their values, by name.
    """
    holders = {
        name: flags.DEFINE_integer(name, defaults[name], text, lower_bound=1)
        for name, text in _HELP.items()
    }
    return lambda: {name: holder.value for name, holder in holders.items()}
