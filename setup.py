"""What pyproject.toml has no rule for: the packages, and a console script for each command."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from setuptools import find_packages, setup

# Folders beside the package in the repository, and where they are in an installed one.
INSIDE = {"auto_deeplab.gin_configs": "gin_configs", "auto_deeplab.tools": "tools"}


def scripts(folder: str, commands: str) -> Iterator[str]:
    """Yields the console scripts of a folder, such as "auto-deeplab-train = ...:commands.train"."""
    for path in sorted(Path(__file__).with_name(folder).glob("*.py")):
        if 'if __name__ == "__main__"' in path.read_text(encoding="utf-8"):
            name = f"auto-deeplab-{path.stem.replace('_', '-')}"
            yield f"{name} = auto_deeplab.foundations.entry_points:{commands}.{path.stem}"


# Not in the checkout, where a module that was moved would stay and be packed again, and where a
# disk that does not tell A from a takes setuptools' folder "build" for Bazel's file BUILD.
with tempfile.TemporaryDirectory() as build:
    setup(
        packages=[*find_packages(include=["auto_deeplab", "auto_deeplab.*"]), *INSIDE],
        package_dir=INSIDE,
        entry_points={
            "console_scripts": [*scripts("auto_deeplab", "commands"), *scripts("tools", "tools")]
        },
        options={"build": {"build_base": build}},
    )
