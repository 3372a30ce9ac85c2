"""How much memory a process has taken."""

import resource


def peak_megabytes() -> float:
    """Returns the most memory that this process has had so far."""
    # Linux counts in KiB.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
