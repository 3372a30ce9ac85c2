"""Configurable values: each is declared by its annotation, and checked against it in one place.

`configurable` stands for `gin.configurable`. The annotations of what it decorates say what a gin
file may bind, `Annotated[int, Ge(1)]` for example:

  @configurable
  def street_scenes(train_images: Count = 400, scale: Annotated[float, Gt(0), Le(1)] = 1.0): ...

All bindings of a configuration are checked when it is complete, before anything is called; the
arguments of each call are checked too, whoever gives them. Types are strict: True, 1.0 and "1" are
no whole numbers. A whole number where a float is declared becomes one.
"""

import copy
import dataclasses
import functools
import inspect
import os
import re
import reprlib
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, TypeVar, overload

import annotated_types
import gin
import pydantic
from annotated_types import Ge, Gt, Le, Lt, MinLen, Predicate, doc
from gin import utils as gin_utils

from auto_deeplab.foundations.errors import UserError, near_matches

# The largest whole number that all of TensorFlow takes.
_LARGEST = 2**31 - 1
# One of a graph's operations, layers or variables.
_NAME = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_.\\/>-]*")

Count = Annotated[int, Ge(1), Le(_LARGEST)]
CountOrZero = Annotated[int, Ge(0), Le(_LARGEST)]
Seed = Annotated[int, Ge(0), Le(2**32 - 1)]
"""What NumPy, and so `tf_keras.utils.set_random_seed`, takes."""
Pixels = Annotated[int, Ge(1), Le(2**14)]
Size = Annotated[tuple[Pixels, Pixels], pydantic.Strict(False)]
"""(height, width), as a tuple or a list."""
Positive = Annotated[float, Gt(0)]
NotNegative = Annotated[float, Ge(0)]
Share = Annotated[float, Gt(0), Le(1)]
KerasMomentum = Annotated[float, Ge(0), Le(1)]
"""Of an optimizer."""
Decay = Annotated[float, Ge(0), Lt(1)]
"""How much of a moving average a step keeps: with 1 it would never move."""
Text = Annotated[str, MinLen(1), doc("a text in quotes that is not empty")]


def _can_be_path(text: str) -> bool:
    """Whether Linux can have a file of that path; else to look for it is an error by itself."""
    names = os.fsencode(text).split(b"/")
    return "\0" not in text and len(text) < 4096 and all(len(name) < 256 for name in names)


PathText = Annotated[
    str,
    MinLen(1),
    Predicate(_can_be_path),
    pydantic.AfterValidator(os.path.expanduser),
    doc("a path in quotes"),
]
"""A path, in which ~ is the home folder."""
GraphName = Annotated[
    str,
    Predicate(lambda name: _NAME.fullmatch(name) is not None),
    doc("a text of letters, digits and _.-/ that begins with a letter or a digit"),
]

Target = TypeVar("Target", bound=Callable[..., Any])
# By (scope, configurable), the values by parameter.
_Bindings = Mapping[tuple[str, str], Mapping[str, Any]]
_TYPES = pydantic.ConfigDict(strict=True, allow_inf_nan=False, arbitrary_types_allowed=True)


def takes(*parameters: str) -> Predicate:
    """Returns what tells, for an annotation, functions that have these parameters."""

    def has_parameters(function: Callable[..., Any]) -> bool:
        try:
            known = inspect.signature(function).parameters
        except (TypeError, ValueError):
            return False
        any_name = any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values())
        return any_name or set(parameters) <= set(known)

    return Predicate(has_parameters)


@overload
def configurable(target: Target, *, denylist: Sequence[str] = ()) -> Target: ...
@overload
def configurable(*, denylist: Sequence[str] = ()) -> Callable[[Target], Target]: ...
def configurable(target: Any = None, *, denylist: Sequence[str] = ()) -> Any:
    """Makes a function or a class configurable, and checks its arguments by their annotations.

    Args:
        target: The function, or the class with an `__init__` of its own.
        denylist: Parameters that a gin file may not bind; they are not checked.

    Returns:
        The function or class, whose calls raise a `UserError` for each wrong argument; or what
        decorates one, where no `target` is given.
    """
    if target is None:
        return functools.partial(configurable, denylist=denylist)
    is_class = inspect.isclass(target)
    function = target.__init__ if is_class else target
    annotations = {
        parameter.name: parameter.annotation
        for parameter in inspect.signature(function, eval_str=True).parameters.values()
        if parameter.annotation is not parameter.empty and parameter.name not in denylist
    }
    declaration = _declare(target, target.__module__, annotations)
    checking = _checking(function, declaration)
    if is_class:
        target.__init__ = checking
        checking = target
    return gin.configurable(checking, denylist=list(denylist))


def external_configurable(
    target: Callable[..., Any],
    module: str,
    annotations: Mapping[str, Any] = types.MappingProxyType({}),
    denylist: Sequence[str] = (),
) -> None:
    """Makes a function or class of a library configurable.

    What a gin file binds has the type of the parameter's default, unless `annotations` say more.

    Args:
        target: The function or class; `@NAME` of a gin file calls it.
        module: By which gin tells it from others of its name.
        annotations: Of some of its parameters.
        denylist: Parameters that a gin file may not bind.
    """
    signature = inspect.signature(target)
    of_defaults = {
        parameter.name: annotation
        for parameter in signature.parameters.values()
        for kind, annotation in ((bool, bool), (int, float), (float, float), (str, str))
        if type(parameter.default) is kind
    }
    declaration = _declare(target, module, of_defaults | dict(annotations))

    def make(*args: Any, **kwargs: Any) -> Any:
        try:
            return target(*args, **kwargs)
        except Exception as error:
            received = ", ".join(
                f"{declaration.name}.{name} = {_shown(value)}"
                for name, value in kwargs.items()
                if name not in denylist
            )
            raise UserError(
                f"@{declaration.name}: received {received or 'no values'}; expected what "
                f"{target.__module__} takes: {' '.join(str(error).split())}"
            ) from error

    wrapped: Any = functools.wraps(target, updated=())(make)
    wrapped.__signature__ = signature
    gin.configurable(target.__name__, module=module, denylist=list(denylist))(wrapped)


@dataclasses.dataclass(frozen=True)
class Declaration:
    """What the parameters of a configurable take.

    Args:
        name: Of the configurable.
        annotations: By parameter.
    """

    name: str
    annotations: Mapping[str, Any]

    @functools.cached_property
    def _adapters(self) -> dict[str, pydantic.TypeAdapter[Any]]:
        return {
            name: pydantic.TypeAdapter(annotation, config=_TYPES)
            for name, annotation in self.annotations.items()
        }

    def checked(self, parameter: str, value: Any, shown: str = "", scope: str = "") -> Any:
        """Returns a value as the type that is declared.

        Args:
            parameter: A name; what is not declared takes any value.
            value: What was given for it.
            shown: How messages show it; by default as Python does.
            scope: gin's scope of the binding, for messages.

        Raises:
            UserError: It is none, or out of range.
        """
        if parameter not in self.annotations:
            return value
        try:
            return self._adapters[parameter].validate_python(value)
        except pydantic.ValidationError as error:
            problems = error.errors()
        message = f"{scope}{'/' if scope else ''}{self.name}.{parameter}: received "
        choices = [
            (problem["input"], typing.get_args(literal))
            for problem in problems
            if problem["type"] == "literal_error" and len(problems) == 1
            for literal in _literals(self.annotations[parameter])
        ]
        if choices and isinstance(choices[0][0], str):
            (given, known), *_ = choices
            raise UserError(f"{message}{given!r}{near_matches(given, known)}")
        expected = describe(self.annotations[parameter], value)
        raise UserError(f"{message}{shown or _shown(value)}; expected {expected}")


_declarations: dict[str, Declaration] = {}


def _declare(
    target: Callable[..., Any], module: str, annotations: Mapping[str, Any]
) -> Declaration:
    """Keeps what a configurable declares under the name that gin's configuration has for it."""
    declaration = Declaration(target.__name__, annotations)
    _declarations[f"{module}.{target.__name__}"] = declaration
    return declaration


def _checking(function: Callable[..., Any], declaration: Declaration) -> Any:
    """Wraps a function: its arguments are checked, and have the declared types."""
    signature = inspect.signature(function)

    def checking(*args: Any, **kwargs: Any) -> Any:
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError:
            return function(*args, **kwargs)  # Python says best what is wrong.
        problems = []
        for name, value in bound.arguments.items():
            try:
                bound.arguments[name] = declaration.checked(name, value)
            except UserError as error:
                problems.append(str(error))
        if problems:
            raise UserError("\n".join(problems))
        return function(*bound.args, **bound.kwargs)

    wrapped: Any = functools.wraps(function)(checking)
    # gin looks for the parameters here.
    wrapped.__signature__ = signature
    return wrapped


def check_bindings(config: _Bindings) -> None:
    """Checks every binding of gin's configuration.

    What only a call can give, `@name()`, is checked when it is given.

    Args:
        config: By (scope, configurable), the values by parameter.

    Raises:
        UserError: Some are wrong; the message has a line for each.
    """
    problems: list[str] = []
    macros: dict[tuple[str, str], Any] = {}
    for (scope, selector), bindings in config.items():
        name = f"{scope}{'/' if scope else ''}{selector.rpartition('.')[2]}"
        for parameter, value in bindings.items():
            try:
                _refuse_endless_calls(value, scope, config, (scope, selector), set())
                declaration = _declarations.get(selector)
                if declaration and parameter in declaration.annotations:
                    resolved, shown = _resolved(value, config, macros), _shown(value)
                    if shown.startswith("%"):
                        shown += f", which is {_shown(resolved)}"
                    declaration.checked(parameter, resolved, shown, scope)
            except _OnlyACallTells:
                continue
            except RecursionError:
                problems.append(
                    f"{name}.{parameter}: received {_shown(value)}; expected a value that does not "
                    "need itself"
                )
            except UserError as error:
                problems.append(str(error))
    if problems:
        raise UserError("\n".join(problems))


gin.config.register_finalize_hook(check_bindings)


class _OnlyACallTells(Exception):
    """A value that has a reference to be evaluated."""


_MACRO, _CONSTANT = "gin.macro", "gin.constant"


def _resolved(value: Any, config: _Bindings, macros: dict[tuple[str, str], Any]) -> Any:
    """Returns a value with its macros and references replaced by what they stand for.

    Args:
        value: Of a binding.
        config: All bindings.
        macros: Receives what each macro stands for: a few lines can name one a billion times.

    Raises:
        _OnlyACallTells: One has to be called.
        RecursionError: A macro stands for itself.
    """
    if isinstance(value, gin.config.ConfigurableReference):
        if not value.evaluate:
            return value.scoped_configurable_fn
        if value.configurable.selector == _CONSTANT:
            return copy.deepcopy(value)
        if value.configurable.selector == _MACRO:
            key = value.config_key
            if key not in macros:
                macros[key] = _resolved(config[key]["value"], config, macros)
            return macros[key]
        raise _OnlyACallTells
    if isinstance(value, dict):
        return {
            _resolved(key, config, macros): _resolved(item, config, macros)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple | set):
        return type(value)(_resolved(item, config, macros) for item in value)
    return value


def _refuse_endless_calls(
    value: Any,
    scope: str,
    config: _Bindings,
    caller: tuple[str, str],
    seen: set[tuple[str, str]],
) -> None:
    """Raises a RecursionError where evaluating a value would call its caller; notes other calls."""
    for reference in gin.config.iterate_references({"": value}):
        if not reference.evaluate or reference.configurable.selector == _CONSTANT:
            continue
        # Without scopes of its own it is called in the one that is present.
        inner = "/".join(reference.scopes) or scope
        call = (inner, reference.configurable.selector)
        if call == caller:
            raise RecursionError
        if call not in seen:
            seen.add(call)
            for bound in _bindings(*call, config).values():
                _refuse_endless_calls(bound, inner, config, caller, seen)


def _bindings(scope: str, selector: str, config: _Bindings) -> dict[str, Any]:
    """Returns the bindings in effect in a scope: its own ones before those of outer scopes."""
    parts = scope.split("/") if scope else []
    found: dict[str, Any] = {}
    for count in range(len(parts) + 1):
        found |= config.get(("/".join(parts[:count]), selector), {})
    return found


def describe(annotation: Any, received: Any = None) -> str:
    """Returns what an annotation takes, in words.

    Args:
        annotation: Any type; a `doc` in an Annotated one says it all.
        received: What was given instead. The bound that comes with a whole number of bits is told
            to whoever exceeds it.
    """
    if typing.get_origin(annotation) is Annotated:
        kind, *metadata = typing.get_args(annotation)
        for entry in metadata:
            if isinstance(entry, annotated_types.DocInfo):
                return entry.documentation
        return describe(kind, received) + _describe_range(metadata, received)
    arguments = typing.get_args(annotation)
    match typing.get_origin(annotation) or annotation:
        case typing.Union | types.UnionType:
            return ", or ".join(describe(choice, received) for choice in arguments)
        case typing.Literal:
            *others, last = map(repr, arguments)
            return f"{', '.join(others)} or {last}" if others else last
        case origin if origin is tuple and Ellipsis not in arguments:
            return f"({', '.join(describe(item) for item in arguments)})"
        case origin if origin in (tuple, list, Sequence):
            return f"a list, each entry {describe(arguments[0])}"
        case origin if origin is Callable:
            return "a function, such as @name"
        case kind:
            return _KINDS.get(kind, f"a {getattr(kind, '__name__', kind)}")


_KINDS = {
    int: "a whole number",
    float: "a number",
    bool: "True or False",
    str: "a text in quotes",
    types.NoneType: "None",
    os.PathLike: "a path",
}


def _describe_range(metadata: Sequence[Any], received: Any) -> str:
    bounds = {
        type(bound): next(iter(dataclasses.asdict(bound).values()))
        for bound in metadata
        if isinstance(bound, Ge | Gt | Le | Lt | MinLen)
    }
    exceeds = isinstance(received, int) and received > _LARGEST
    if bounds.get(Le) == _LARGEST and not exceeds:
        del bounds[Le]
    match bounds:
        case {annotated_types.Ge: least, annotated_types.Le: most}:
            return f" from {least} to {most}"
        case {annotated_types.Ge: least, annotated_types.Lt: limit}:
            return f" from {least} to below {limit}"
        case {annotated_types.Gt: limit, annotated_types.Le: most}:
            return f" above {limit}, to {most}"
        case {annotated_types.Gt: low, annotated_types.Lt: high}:
            return f" above {low} and below {high}"
        case {annotated_types.Ge: least}:
            return f" of at least {least}"
        case {annotated_types.Gt: limit}:
            return f" above {limit}"
        case {annotated_types.MinLen: _}:
            return ", and not empty"
    return ""


def _literals(annotation: Any) -> Iterator[Any]:
    """Yields the Literals within an annotation."""
    if typing.get_origin(annotation) is typing.Literal:
        yield annotation
    else:
        for argument in typing.get_args(annotation):
            yield from _literals(argument)


_repr = reprlib.Repr()
_repr.maxlevel = 3
_repr.maxstring = _repr.maxother = _repr.maxlong = 80
_repr.maxtuple = _repr.maxlist = 12


def _shown(value: Any) -> str:
    """Returns a value as a gin file has it; what none has, by its type's name."""
    if value is None or isinstance(
        value, bool | int | float | str | list | tuple | dict | set | os.PathLike
    ):
        try:
            return _repr.repr(value)
        except ValueError:  # Python writes no numbers of thousands of digits.
            return "a number of thousands of digits"
    if isinstance(value, gin.config.ConfigurableReference):
        return repr(value)
    name = getattr(value, "__name__", None)
    return f"@{name}" if name else f"an object of type {type(value).__name__}"


_augment: Callable[[Exception, str], typing.NoReturn] = (
    gin_utils.augment_exception_message_and_reraise
)


def _reraise(exception: Exception, message: str) -> typing.NoReturn:
    """Leaves errors of ours as they are.

    They say what was wrong; gin would add the name of each callee, with its address.
    """
    if isinstance(exception, UserError):
        raise exception
    _augment(exception, message)


gin_utils.augment_exception_message_and_reraise = _reraise
