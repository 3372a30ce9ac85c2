"""Reading gin files, with errors that say what was meant."""

import difflib
import functools
import importlib
import inspect
import logging
import os
import pkgutil
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import gin

from auto_deeplab.command_line import near_matches
from auto_deeplab.errors import UserError

# The gin files that come with the project.
GIN_FOLDER = Path(__file__).resolve().parents[1] / "gin_configs"
gin.add_config_file_search_path(str(GIN_FOLDER))
# Editors of Windows begin a file with a byte-order mark. gin's public function puts a reader behind
# the one that it has, which then reads every file.
gin.config._FILE_READERS.insert(0, (functools.partial(open, encoding="utf-8-sig"), os.path.isfile))


def find(gin_file: str) -> str:
    """Returns the path of a gin file: as given, or of that name in `gin_configs`.

    Raises:
        UserError: there is none; the message lists names that resemble it.
    """
    for candidate in (Path(gin_file), GIN_FOLDER / gin_file):
        if candidate.is_file():
            return str(candidate)
    folder = Path(gin_file).parent
    known = {path.name for path in GIN_FOLDER.glob("*.gin")}
    if folder.is_dir():
        known |= {os.path.normpath(path) for path in folder.glob("*.gin")}
    raise UserError(
        f"--gin_file: {gin_file!r} is neither a file nor one of those in "
        f"{GIN_FOLDER.name}{near_matches(gin_file, known)}"
    )


def load(gin_file: str, parameters: Sequence[str] = ()) -> None:
    """Makes a gin file the configuration, with single values replaced.

    Args:
        gin_file: see `find`. A gin file imports the modules that it configures: read one that is
            not yours before you run it.
        parameters: "name = value" each, as in the file; strings need quotes.

    Raises:
        UserError: a file, a name or a value is wrong.
    """
    path = find(gin_file)
    gin.clear_config()
    # gin logs an error for each place where an included file is not.
    logging.disable(logging.ERROR)
    try:
        gin.parse_config_files_and_bindings([path], list(parameters))
    except UserError:
        raise
    except (ValueError, SyntaxError, ImportError, TypeError, AttributeError, OSError) as error:
        raise UserError(_explain(error, path)) from error
    finally:
        logging.disable(logging.NOTSET)


@contextmanager
def explaining_calls() -> Iterator[None]:
    """Turns what gin says of the values of a call into a `UserError` of one line.

    Raises:
        UserError: a value that has no default is missing, or the callee raised one.
    """
    try:
        yield
    except UserError as error:
        # gin adds lines that name the callee.
        raise UserError(re.sub(r"\n  In call to configurable .*", "", str(error))) from error
    except RuntimeError as error:
        match = re.search(r"Required bindings for `(.+?)` not provided in config: (.*)", str(error))
        if not match:
            raise
        parameter = re.findall(r"'(\w+)'", match[2])[0]
        raise UserError(
            f"{match[1]}.{parameter}: received nothing; expected a value in the gin file or "
            f'--gin_param="{match[1]}.{parameter} = ..."'
        ) from error


def _explain(error: Exception, path: str) -> str:
    """Returns gin's message with the names that were probably meant."""
    message = " ".join(str(error).split())
    if match := re.search(r"No configurable matching (?:reference )?'@?([^']+)'", message):
        return f"{path}: {message}{near_matches(match[1], _configurables())}"
    if match := re.search(
        r"Configurable '([^']+)' doesn't have a parameter named '([^']+)'", message
    ):
        return f"{path}: {message}{near_matches(match[2], _parameters(match[1]))}"
    if match := re.search(r"Unable to open file: (.+?)\. Searched", message):
        known = [found.relative_to(GIN_FOLDER).as_posix() for found in GIN_FOLDER.rglob("*.gin")]
        return f"{path}: {message}{near_matches(match[1], known)}"
    if match := re.search(r"No module named '([^']+)'", message):
        return f"{path}: {message}{near_matches(match[1], _modules(match[1]))}"
    # gin prints the whole configuration where a %macro has no value.
    return f"{path}: {message.split(' in config string: ')[0]}"


def _configurables() -> list[str]:
    # gin has no public list of what is registered; the selector map is what its own errors use.
    return [selector.rpartition(".")[2] for selector, _ in gin.config._REGISTRY.items()]


def _parameters(configurable: str) -> list[str]:
    wrapped = gin.get_configurable(configurable)
    return list(inspect.signature(wrapped).parameters)


def _modules(missing: str) -> list[str]:
    """Returns the modules beside one that does not exist."""
    package = missing.rpartition(".")[0]
    if not package:
        return difflib.get_close_matches(missing, [__package__])
    folders = getattr(importlib.import_module(package), "__path__", [])
    return [f"{package}.{module.name}" for module in pkgutil.iter_modules(folders)]
