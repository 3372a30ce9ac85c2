"""Whether what is to be measured fits into the memory."""

from collections.abc import Sequence

# Of which nothing is known: what the hungriest engine takes at 513x513.
_UNKNOWN_MEGABYTES = 1000
_UNKNOWN_MEGABYTES_A_PIXEL = 0.0055
_RESERVE_MEGABYTES = 1000


def expected_megabytes(pixels: int, measured: Sequence[tuple[int, float]]) -> float:
    """Returns the memory that a process will need, on the line through what it took before.

    Args:
        pixels: That it will work on at once.
        measured: (pixels, megabytes) of what it did before, in any order.
    """
    if not measured:
        return _UNKNOWN_MEGABYTES + _UNKNOWN_MEGABYTES_A_PIXEL * pixels
    fewest, least = min(measured)
    most, peak = max(measured)
    # What there is beside the pixels is not known after one measurement: all counts as theirs.
    a_pixel = max(0, peak - least) / (most - fewest) if most > fewest else peak / most
    return peak + a_pixel * max(0, pixels - most)


def free_megabytes() -> float:
    """Returns the memory that may be taken now without making the machine swap or kill."""
    import psutil

    return psutil.virtual_memory().available / 1e6 - _RESERVE_MEGABYTES
