"""With which versions of which packages a result was made, and on which machine."""

import os
import platform
from importlib import metadata
from pathlib import Path

from auto_deeplab import __version__

_PACKAGES = ("gin-config", "numpy", "tensorflow", "tf-keras", "tf-models-official")


def package_versions() -> dict[str, str]:
    """Returns the versions of Python, of this package and of those that its results depend on."""
    packages = {"python": platform.python_version(), "auto-deeplab": __version__}
    for package in _PACKAGES:
        try:
            packages[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return packages


def machine_name() -> str:
    """Returns the processor's name and how many cores this process may use."""
    name = platform.processor() or platform.machine()
    cpu_info = Path("/proc/cpuinfo")
    if cpu_info.exists():
        for line in cpu_info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                name = line.partition(":")[2].strip()
                break
    return f"{name}, {len(os.sched_getaffinity(0))} cores"
