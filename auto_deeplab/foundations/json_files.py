"""The one place where JSON is read and written: files of others, and our own.

What is read may come from anybody. Its size, its depth and its numbers are limited before anything
is made of it, and whatever is wrong is a `ContentError` that names the file, the line, the field
and the value. What is written is JSON: NaN and infinity, for which it has no word, become null.
"""

import functools
import json
import math
import os
import re
import reprlib
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, Any

import pydantic
from absl import logging

from auto_deeplab.foundations.atomic_file import replacing
from auto_deeplab.foundations.errors import UserError, reason_of
from auto_deeplab.foundations.files import utf8_text

MOST_BYTES = 2**26
"""The largest file that is read unless told otherwise, 64 MiB."""
MOST_DEPTH = 64
"""How deep objects and lists may lie in one another."""
MOST_DIGITS = 40
"""Of a whole number: as many as 128 bits can have."""
LARGEST_INTEGER = 2**63 - 1
"""The largest count that NumPy and TensorFlow can hold, for schemas."""

_BYTE_ORDER_MARK = "\ufeff"
_DEPTH = f"expected JSON of at most {MOST_DEPTH} levels"
_FINITE = "expected finite numbers"


class ContentError(UserError):
    """Something in a file is wrong.

    Args:
        source: The file, with the line where it has one document a line.
        field: The way to what is wrong, such as "cell[2].op"; "" for the document as a whole.
        received: What is there.
        expected: What would be right, as a phrase.
    """

    def __init__(self, source: str, field: str, received: object, expected: str):
        at = f"{source}: {field}" if field else source
        super().__init__(f"{at}: received {reprlib.repr(received)}; {expected}")
        self.source = source
        self.field = field
        self.received = received
        self.expected = expected


class UnreadableError(UserError):
    """The file system does not give a file; the `__cause__` says why."""


class _Wrong:
    """Stands in a document for a value that it may not have, until its place is known."""

    def __init__(self, received: object, expected: str):
        self.received = received
        self.expected = expected


def field_path(parts: Iterable[str | int]) -> str:
    """Returns the way to a value as messages have it, such as "cell[2].op"."""
    path = ""
    for part in parts:
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            # A key is somebody's text: of any length, and perhaps with line breaks.
            name = part if re.fullmatch(r"[\w.\- ]{1,60}", part) else reprlib.repr(part)
            path += f".{name}" if path else name
    return path


def is_unicode(text: str) -> bool:
    """Whether a text has characters alone, and no lone surrogates, which UTF-8 cannot hold."""
    return text.isascii() or not re.search(r"[\ud800-\udfff]", text)


def parse(text: str, source: str = "<string>", nan_as_null: bool = False) -> Any:
    """Returns the JSON document in a text.

    Args:
        text: The document; a byte-order mark before it is ignored.
        source: The file's name, for messages.
        nan_as_null: Read NaN as null: earlier versions wrote it for figures that do not exist.

    Raises:
        ContentError: It is no JSON, nests deeper than `MOST_DEPTH`, has a key twice in an object, a
            number that is not finite or of more than `MOST_DIGITS` digits, or a lone surrogate.
    """

    def constant(name: str) -> _Wrong | None:
        if nan_as_null and name == "NaN":
            return None
        return _Wrong(name, _FINITE)

    try:
        document = json.loads(
            text.removeprefix(_BYTE_ORDER_MARK),
            object_pairs_hook=_unique_keys,
            parse_constant=constant,
            parse_float=_finite_number,
            parse_int=_short_integer,
        )
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise ContentError(source, "", text, f"expected JSON ({error.msg}: {where})") from None
    except RecursionError:
        raise ContentError(source, "", text, _DEPTH) from None
    _check_values(document, source, ())
    return document


def read_text(path: str | os.PathLike[str], most_bytes: int = MOST_BYTES) -> str:
    """Returns the text of a UTF-8 file, without a byte-order mark.

    Raises:
        UnreadableError: It is missing or cannot be read.
        ContentError: It is larger than `most_bytes`, or is not UTF-8.
    """
    try:
        with open(path, "rb") as file:
            return read_stream(file, str(path), most_bytes)
    except OSError as error:
        raise UnreadableError(f"{path}: cannot be read: {reason_of(error)}") from error
    except ContentError:
        raise
    except ValueError as error:  # A name with a null character.
        raise UnreadableError(f"{path!r}: cannot be read: {error}") from error


def read_stream(stream: IO[bytes], source: str, most_bytes: int = MOST_BYTES) -> str:
    """Returns the UTF-8 text that a stream holds, without a byte-order mark.

    Args:
        stream: A file, or a part of one.
        source: Its name, for messages.
        most_bytes: The largest that is read.

    Raises:
        ContentError: It holds more than `most_bytes`, or no UTF-8.
    """
    # A device, a pipe or what is packed has no size that could be asked for.
    content = stream.read(most_bytes + 1)
    if len(content) > most_bytes:
        expected = f"expected a file of at most {most_bytes:,} bytes"
        raise ContentError(source, "", content[:20], expected)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        received = content[error.start : error.start + 8]
        raise ContentError(source, "", received, f"expected UTF-8 text (line {line})") from error


def read(
    path: str | os.PathLike[str], nan_as_null: bool = False, most_bytes: int = MOST_BYTES
) -> Any:
    """Returns the JSON document in a file; see `read_text` and `parse`.

    Raises:
        UserError: It cannot be read, or `parse` refuses it.
    """
    return parse(read_text(path, most_bytes), str(path), nan_as_null)


def read_lines(
    path: str | os.PathLike[str], nan_as_null: bool = False, may_be_torn: bool = False
) -> Iterator[tuple[str, Any]]:
    """Yields the document of each line of a file, with the line's name for messages.

    Args:
        path: The file.
        nan_as_null: As for `parse`.
        may_be_torn: Leave out what an interrupted write may have left: a last line that has no end
            and is no JSON.

    Raises:
        UserError: It cannot be read, or `parse` refuses a line.
    """
    lines = read_text(path).split("\n")
    unfinished = lines.pop()
    for number, line in enumerate(lines, start=1):
        source = f"{path}, line {number}"
        yield source, parse(line, source, nan_as_null)
    if unfinished:
        source = f"{path}, line {len(lines) + 1}"
        try:
            document = parse(unfinished, source, nan_as_null)
        except ContentError:
            if may_be_torn:
                return
            raise
        yield source, document


def check(document: Any, schema: Any, source: str) -> Any:
    """Returns the value that a document stands for, by a schema.

    Nothing is converted: "3", 3.0 and true are no whole numbers. A `ValueError` of the schema's
    own validators says what is expected.

    Args:
        document: What `parse` returned.
        schema: A type that pydantic knows: a model, a dataclass, `dict[str, int]` and the like.
        source: The file's name, for messages.

    Raises:
        ContentError: The document is not as the schema says.
    """
    try:
        return _adapter(schema).validate_json(to_json(document), strict=True)
    except pydantic.ValidationError as error:
        problem = error.errors(include_url=False)[0]
    field, received = field_path(problem["loc"]), problem["input"]
    if problem["type"] == "missing":
        raise ContentError(source, field, None, "the field is missing")
    if problem["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        raise ContentError(source, field, received, "the field is unknown")
    expected = re.sub(r"^\w+ should (be|have|match) ", "", problem["msg"])
    expected = re.sub(r"^(greater|less) than", r"a number \1 than", expected)
    expected = expected.removeprefix("Value error, ")
    raise ContentError(source, field, received, f"expected {expected}")


@functools.lru_cache
def _adapter(schema: Any) -> pydantic.TypeAdapter[Any]:
    return pydantic.TypeAdapter(schema)


def to_json(
    document: Any, indent: int | None = None, sort_keys: bool = False, name: str = "JSON"
) -> str:
    """Returns a document's JSON text, without an end of line.

    A number that is not finite becomes null, with a warning that names it. Characters that UTF-8
    cannot hold, as names of files may have them, become their escapes.

    Args:
        document: Of dictionaries with text as keys, lists, tuples, texts, numbers, booleans, None.
        indent: Spaces a level; None for one line.
        sort_keys: Order objects by their keys.
        name: What the text is for, for the warning.
    """
    dump = functools.partial(json.dumps, allow_nan=False, indent=indent, sort_keys=sort_keys)
    try:
        text = dump(document)
    except ValueError:
        fields: list[str] = []
        text = dump(_without_nan(document, (), fields))
        logging.warning("%s: not finite, written as null: %s", name, ", ".join(fields))
    # Surrogates come in pairs, or else they are no character.
    if "\\ud" in text:
        text = dump(_as_unicode(json.loads(text)))
    return text


def write(path: str | os.PathLike[str], document: Any) -> None:
    """Writes a file of one document, whole or not at all; see `to_json`.

    Raises:
        UserError: The file system refuses.
    """
    write_text(path, to_json(document, indent=1, name=str(path)) + "\n")


def write_lines(path: str | os.PathLike[str], documents: Sequence[Any]) -> None:
    """Writes a file of one document a line, whole or not at all; see `to_json`.

    Raises:
        UserError: The file system refuses.
    """
    write_text(path, "".join(to_json(line, name=str(path)) + "\n" for line in documents))


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Writes a text, whole or not at all.

    Raises:
        UserError: The file system refuses.
    """
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _unique_keys(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    document: dict[str, Any] = {}
    for key, value in pairs:
        if key in document:
            received = value.received if isinstance(value, _Wrong) else value
            value = _Wrong(received, "the key appears twice in one object")
        document[key] = value
    return document


def _finite_number(text: str) -> float | _Wrong:
    value = float(text)
    return value if math.isfinite(value) else _Wrong(text, _FINITE)


def _short_integer(text: str) -> int | _Wrong:
    if len(text) > MOST_DIGITS:
        return _Wrong(text, f"expected JSON with numbers of at most {MOST_DIGITS} digits")
    return int(text)


def _check_values(value: Any, source: str, path: tuple[str | int, ...]) -> None:
    """Raises a `ContentError` for the first value that a document may not have."""
    if isinstance(value, _Wrong):
        raise ContentError(source, field_path(path), value.received, value.expected)
    if isinstance(value, str):
        _check_unicode(value, source, path)
    elif isinstance(value, dict | list):
        if len(path) >= MOST_DEPTH:
            raise ContentError(source, field_path(path[:4]), value, _DEPTH)
        if isinstance(value, dict):
            for key in value:
                _check_unicode(key, source, path)
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            if isinstance(part, dict | list | str | _Wrong):
                _check_values(part, source, (*path, key))


def _check_unicode(text: str, source: str, path: tuple[str | int, ...]) -> None:
    if not is_unicode(text):
        expected = "expected Unicode text, without lone surrogates"
        raise ContentError(source, field_path(path), text, expected)


def _without_nan(value: Any, path: tuple[str | int, ...], fields: list[str]) -> Any:
    """Returns a document with null for what is not finite, whose names are added to `fields`."""
    if isinstance(value, float) and not math.isfinite(value):
        fields.append(f"{field_path(path)} ({value})")
        return None
    if isinstance(value, dict):
        return {key: _without_nan(part, (*path, key), fields) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(part, (*path, i), fields) for i, part in enumerate(value)]
    return value


def _as_unicode(value: Any) -> Any:
    if isinstance(value, str):
        return utf8_text(value)
    if isinstance(value, dict):
        return {_as_unicode(key): _as_unicode(part) for key, part in value.items()}
    return [_as_unicode(part) for part in value] if isinstance(value, list) else value
