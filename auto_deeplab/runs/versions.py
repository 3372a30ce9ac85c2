"""With which versions of which packages a result was made."""

import platform
from importlib import metadata

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
