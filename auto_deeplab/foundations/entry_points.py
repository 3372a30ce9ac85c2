"""The commands as functions without arguments, which console scripts of an installed package call.

`auto-deeplab-train` calls `commands.train()`, which does what `python -m auto_deeplab.train` does:
a command's help and its flags are those of the module `__main__`. setup.py names the scripts.
"""

import runpy
from collections.abc import Callable


class Commands:
    """A package whose modules are commands: each is an attribute that runs it.

    Args:
        package: The package's name.
    """

    def __init__(self, package: str):
        self._package = package

    def __getattr__(self, name: str) -> Callable[[], None]:
        if name.startswith("_"):
            raise AttributeError(name)

        def run() -> None:
            runpy.run_module(f"{self._package}.{name}", run_name="__main__", alter_sys=True)

        return run


commands = Commands("auto_deeplab")
tools = Commands("auto_deeplab.tools")
