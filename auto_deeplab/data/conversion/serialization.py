"""What a conversion is made of, as JSON, so that it can be sent to another machine.

Files that carry Python objects would run whatever their writer wants. From these come only numbers,
texts, containers, paths, label tables and the dataclasses of `auto_deeplab.data`.
"""

import dataclasses
import importlib
import json
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

from auto_deeplab.data.conversion.label_table import LabelTable

_PACKAGE = "auto_deeplab.data"


def to_json(value: Any) -> str:
    """Returns the text from which `from_json` makes the same value.

    Raises:
        TypeError: A part of it is of a type that cannot be sent.
    """
    return json.dumps(_encode(value))


def from_json(text: str) -> Any:
    """Returns the value of which `to_json` made a text.

    Raises:
        ValueError: The text is none of these.
    """
    return _decode(json.loads(text))


def _encode(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list):
        return [_encode(element) for element in value]
    if isinstance(value, tuple):
        return {"tuple": [_encode(element) for element in value]}
    if isinstance(value, Mapping):
        return {"mapping": [[_encode(key), _encode(value[key])] for key in value]}
    if isinstance(value, PurePath):
        return {"path": str(value)}
    if isinstance(value, LabelTable):
        return {"label_table": _encode(value.train_ids)}
    module = type(value).__module__
    if dataclasses.is_dataclass(value) and module.startswith(f"{_PACKAGE}."):
        fields = {
            field.name: _encode(getattr(value, field.name)) for field in dataclasses.fields(value)
        }
        return {module.removeprefix(f"{_PACKAGE}.") + "." + type(value).__name__: fields}
    raise TypeError(f"received a {type(value).__name__}, which cannot be sent as JSON")


def _decode(value: Any) -> Any:
    if isinstance(value, list):
        return [_decode(element) for element in value]
    if not isinstance(value, dict):
        return value
    if len(value) != 1:
        raise ValueError(f"received {', '.join(value) or 'none'}; expected one type")
    ((kind, content),) = value.items()
    if kind == "tuple":
        return tuple(_decode(content))
    if kind == "mapping":
        return {_decode(key): _decode(element) for key, element in content}
    if kind == "path":
        return Path(content)
    if kind == "label_table":
        return LabelTable(_decode(content))
    fields = {name: _decode(element) for name, element in content.items()}
    return _dataclass(kind)(**fields)


def _dataclass(name: str) -> type:
    """Returns a dataclass of `auto_deeplab.data` by its name, such as "conversion.pairs.Pair"."""
    module, _, class_name = name.rpartition(".")
    if all(part.isidentifier() for part in (*module.split("."), class_name)):
        try:
            found = getattr(importlib.import_module(f"{_PACKAGE}.{module}"), class_name)
        except (ImportError, AttributeError):
            found = None
        if isinstance(found, type) and dataclasses.is_dataclass(found):
            return found
    raise ValueError(f"received {name!r}; expected a dataclass of {_PACKAGE}")
