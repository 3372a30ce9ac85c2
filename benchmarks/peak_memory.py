"""How much memory a process has taken."""

import resource
from typing import Any

_GROWTH = 1.02


def peak_megabytes() -> float:
    """Returns the most memory that this process has had so far."""
    # Linux counts in KiB.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def memory_over_time(resident_megabytes: list[float]) -> dict[str, Any]:
    """Returns the resident memory of each tenth of the run, and whether it grew.

    Args:
      resident_megabytes: medians, one a tenth; the first is warm-up.
    """
    _, first, *_, last = resident_megabytes
    return {
        "resident_megabytes": resident_megabytes,
        "grown_megabytes": last - first,
        "memory_grew": last > _GROWTH * first,
    }
