"""How much memory a process has taken."""

import resource
from typing import Any

_GROWTH = 1.01


def peak_megabytes() -> float:
    """Returns the most memory that this process has had so far."""
    # Linux counts in KiB.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def memory_over_time(resident_megabytes: list[float]) -> dict[str, Any]:
    """Returns the resident memory over a run, and whether it grew in the second half.

    In the first half memory may settle; a leak goes on in the second.

    Args:
        resident_megabytes: Medians of equal parts of the run, in order.
    """
    middle, last = resident_megabytes[len(resident_megabytes) // 2], resident_megabytes[-1]
    return {
        "resident_megabytes": resident_megabytes,
        "grown_megabytes_in_second_half": last - middle,
        "memory_grew": last > _GROWTH * middle,
    }
