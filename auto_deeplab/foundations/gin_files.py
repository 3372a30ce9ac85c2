"""Reading gin files, with errors that say what was meant."""

import difflib
import importlib
import inspect
import logging
import os
import pkgutil
import re
import tokenize
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import gin
from gin import config_parser

import auto_deeplab
from auto_deeplab.foundations.errors import UserError, argument, near_matches, one_line

# The gin files that come with the project: within an installed package, beside it in a checkout.
_PACKAGE = Path(auto_deeplab.__file__).resolve().parent
GIN_FOLDER = _PACKAGE / "gin_configs"
if not GIN_FOLDER.is_dir():
    GIN_FOLDER = _PACKAGE.parent / "gin_configs"
gin.add_config_file_search_path(str(GIN_FOLDER))

# The gin files that are being read, each included by the one before.
_open_files: list[str] = []


@contextmanager
def _open_gin_file(path: str) -> Iterator[TextIO]:
    """Opens a gin file: UTF-8 on every machine, with a byte-order mark or without.

    Raises:
        UserError: It is being read already.
    """
    if os.path.realpath(path) in _open_files:
        raise UserError(f"{path}: includes itself; expected files that do not include each other")
    _open_files.append(os.path.realpath(path))
    try:
        with open(path, encoding="utf-8-sig") as file:
            yield file
    finally:
        _open_files.pop()


# gin can be given further readers, which it asks after its own.
gin.config._FILE_READERS[:] = [(_open_gin_file, os.path.isfile)]


def find(gin_file: str) -> str:
    """Returns the path of a gin file: as given, or of that name in `gin_configs`.

    Raises:
        UserError: There is none; the message lists names that resemble it.
    """
    for candidate in (Path(gin_file), GIN_FOLDER / gin_file):
        # Unlike Path's method it is False, too, for what is no path at all.
        if os.path.isfile(candidate):
            return str(candidate)
    if os.path.isdir(gin_file) or not gin_file:
        raise UserError(
            f"{argument('gin_file')}: received the folder {gin_file or '.'!r}; expected a file"
        )
    folder = Path(gin_file).parent
    known = {path.name for path in GIN_FOLDER.glob("*.gin")}
    if os.path.isdir(folder):
        known |= {os.path.normpath(path) for path in folder.glob("*.gin")}
    raise UserError(
        f"{argument('gin_file')}: received {gin_file!r}, which is neither a file nor one of those "
        f"in {GIN_FOLDER.name}{near_matches(gin_file, known)}"
    )


def load(gin_file: str, gin_param: Sequence[str] = ()) -> None:
    """Makes a gin file the configuration, with single values replaced.

    Args:
        gin_file: See `find`. A gin file imports the modules that it configures: read one that is
            not yours before you run it.
        gin_param: "name = value" each, as in the file; strings need quotes.

    Raises:
        UserError: A file, a name or a value is wrong. The message has a line for each value that
            is not what its parameter takes.
    """
    path = find(gin_file)
    gin.clear_config()
    # gin logs an error for each place where an included file is not.
    logging.disable(logging.ERROR)
    try:
        gin.parse_config_files_and_bindings([path], list(gin_param))
    except UserError:
        raise
    except Exception as error:
        # Whatever a gin file makes gin, Python's tokenizer or a module that it imports raise.
        raise UserError(_explain(error, path)) from error
    finally:
        logging.disable(logging.NOTSET)


class Reference(NamedTuple):
    """A function or class as a value: `@name`, or `@name()` for what a call of it returns."""

    name: str
    is_called: bool

    def __repr__(self) -> str:
        return f"@{self.name}{'()' if self.is_called else ''}"


class Macro(NamedTuple):
    """A macro as a value: `%name`."""

    name: str

    def __repr__(self) -> str:
        return f"%{self.name}"


class Binding(NamedTuple):
    """A line `scope/configurable.parameter = value`.

    Attributes:
        scope: gin's; "" without one.
        configurable: The name of a function or class, with modules before it or without.
        parameter: The name of its parameter.
        value: A Python literal, a `Reference` or a `Macro`, or a structure of them.
    """

    scope: str
    configurable: str
    parameter: str
    value: Any

    @property
    def name(self) -> str:
        """What stands before the `=`."""
        return f"{self.scope}{'/' if self.scope else ''}{self.configurable}.{self.parameter}"


class _References:
    """Lets gin's parser read references without knowing what they name: a `ParserDelegate`."""

    def configurable_reference(self, scoped_configurable_name: str, evaluate: bool) -> Reference:
        """Returns `@name` or `@name()`."""
        return Reference(scoped_configurable_name, evaluate)

    def macro(self, macro_name: str) -> Macro:
        """Returns `%name`."""
        return Macro(macro_name)


def read_bindings(text: str, source: str) -> list[Binding]:
    """Returns the values that a text in gin's language binds; imports and configures nothing.

    Args:
        text: Of a file, or of a parameter as `load` takes them.
        source: Where it comes from, for error messages.

    Raises:
        UserError: It is not in gin's language.
    """
    try:
        statements = list(config_parser.ConfigParser(text, _References()))
    except Exception as error:
        # Python's tokenizer and its literals raise errors of several kinds.
        raise UserError(_explain(error, source)) from error
    return [
        Binding(statement.scope, statement.selector, statement.arg_name, statement.value)
        for statement in statements
        if isinstance(statement, config_parser.BindingStatement)
    ]


@contextmanager
def explaining_calls() -> Iterator[None]:
    """Turns what gin says of the values of a call into a `UserError` of one line.

    Raises:
        UserError: A value that has no default is missing, or the callee raised one.
    """
    try:
        yield
    except (RuntimeError, TypeError) as error:
        match = re.search(
            r"Required bindings for `(?P<name>.+?)` not provided in config: (?P<parameters>.*)",
            str(error),
        ) or re.search(
            r"No values supplied by Gin or caller for arguments: (?P<parameters>.*)"
            r"(?s:.*)In call to configurable '(?P<name>.+?)'",
            str(error),
        )
        if not match:
            raise
        parameter = re.findall(r"'(\w+)'", match["parameters"])[0]
        name = f"{match['name']}.{parameter}"
        raise UserError(
            f"{name}: received nothing; expected a value in the gin file or "
            f"{argument('gin_param', f'{name} = ...')}"
        ) from error


def _explain(error: Exception, path: str) -> str:
    """Returns gin's message with the names that were probably meant."""
    if isinstance(error, RecursionError):
        return f"{path}: a value or what it includes is nested too deeply"
    message = " ".join(str(error).split()) or type(error).__name__
    # gin repeats lines and values of any length.
    message = one_line(re.sub(r" In call to configurable '.*?' \(<.*?>\)", "", message))
    if isinstance(error, UnicodeDecodeError):
        return f"{path}: received what is no text in UTF-8 ({message}); expected a gin file"
    if isinstance(error, tokenize.TokenError):
        text, (line, _) = error.args
        return f"{path}: line {line}: {text}; expected complete values, with all brackets closed"
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
        return difflib.get_close_matches(missing, [__package__.partition(".")[0]])
    folders = getattr(importlib.import_module(package), "__path__", [])
    return [f"{package}.{module.name}" for module in pkgutil.iter_modules(folders)]
