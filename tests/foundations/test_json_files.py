"""The one reader and writer of JSON."""

import dataclasses
import io
import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auto_deeplab.foundations import json_files
from auto_deeplab.foundations.errors import UserError

# What the reader takes: the documents that it has to give back as they were written.
DOCUMENTS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**39) + 1, 10**39)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda values: st.lists(values, max_size=4) | st.dictionaries(st.text(), values, max_size=4),
    max_leaves=12,
)


@dataclasses.dataclass
class Shape:
    sides: int
    name: str = ""


@settings(deadline=None, max_examples=50)
@given(DOCUMENTS, st.booleans(), st.sampled_from([None, 1]))
def test_what_is_written_is_read_again(document, with_mark, indent):
    text = json_files.to_json(document, indent)
    assert text == json.dumps(document, indent=indent)
    assert json_files.parse("\ufeff" * with_mark + text) == document


@settings(deadline=None, max_examples=50)
@given(st.lists(DOCUMENTS, max_size=4))
def test_lines_are_read_again(tmp_path_factory, documents):
    path = tmp_path_factory.mktemp("lines") / "deeper" / "some.jsonl"
    json_files.write_lines(path, documents)
    read = list(json_files.read_lines(path))
    assert [document for _, document in read] == documents
    assert [source for source, _ in read] == [
        f"{path}, line {number}" for number in range(1, len(documents) + 1)
    ]


@settings(deadline=None, max_examples=50)
@given(
    st.binary(max_size=40)
    | st.text(alphabet='[]{}:,"\\ud80019.eE-+ \ntrufalsenNI', max_size=40).map(str.encode)
)
def test_any_bytes_are_read_as_pythons_reader_does_or_refused_by_name(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("any") / "some.json"
    path.write_bytes(content)
    error = None
    try:
        document = json_files.read(path)
    except UserError as refusal:
        error = refusal
    if error is None:
        assert document == json.loads(content.decode("utf-8-sig"))
        assert json_files.parse(json_files.to_json(document)) == document
    else:
        assert str(error).startswith(f"{path}: ")
        assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r": received ''; expected JSON \(Expecting value: line 1, column 1\)"),
        ('{"a": 1,\n "b": }', "expected JSON .*: line 2, column 7"),
        ("[" * 100_000, ": received .*; expected JSON of at most 64 levels"),
        ("[" * 65 + "]" * 65, "expected JSON of at most 64 levels"),
        ('{"a": [1, ' + "9" * 5000 + "]}", r": a\[1\]: received '9+.*at most 40 digits"),
        ('{"a": {"b": 1e999}}', r": a\.b: received '1e999'; expected finite numbers"),
        ('{"a": NaN}', ": a: received 'NaN'; expected finite numbers"),
        ("-Infinity", ": received '-Infinity'; expected finite numbers"),
        ('[{"a": 1, "a": 2}]', r": \[0\]\.a: received 2; the key appears twice"),
        ('["\\ud83d"]', r": \[0\]: received '\\ud83d'; expected Unicode text"),
        ('{"\\udc00": 1}', r"received '\\udc00'; expected Unicode text"),
        ('{"a\\nb": NaN}', r": 'a\\nb': received 'NaN'"),
    ],
)
def test_what_is_wrong_is_named(text, message):
    with pytest.raises(json_files.ContentError, match=message) as error:
        json_files.parse(text, "some.json")
    assert str(error.value).startswith("some.json: ")
    assert len(str(error.value)) < 200


def test_the_limits_themselves_are_allowed():
    assert json_files.parse("[" * 64 + "]" * 64)
    assert json_files.parse("9" * 40) == 10**40 - 1
    assert json_files.parse('"\\ud83d\\ude00"') == "\U0001f600"


def test_earlier_versions_wrote_nan_for_what_does_not_exist():
    assert json_files.parse('{"a": NaN, "b": [NaN]}', nan_as_null=True) == {"a": None, "b": [None]}
    with pytest.raises(UserError, match="received 'Infinity'"):
        json_files.parse("Infinity", nan_as_null=True)


def test_files_that_cannot_be_read_are_named(tmp_path):
    path = tmp_path / "some.json"
    with pytest.raises(json_files.UnreadableError, match=r"some\.json: cannot be read: No such"):
        json_files.read(path)
    with pytest.raises(json_files.UnreadableError, match="cannot be read: Is a directory"):
        json_files.read(tmp_path)
    with pytest.raises(json_files.UnreadableError, match=r"a\\x00b.*cannot be read"):
        json_files.read("a\x00b")
    path.write_bytes(b'{"a":\n "\xff"}')
    with pytest.raises(UserError, match=r"json: received b'\\xff\"}'; expected UTF-8 .*2\)"):
        json_files.read(path)
    path.write_bytes(b"[" + b" " * 20 + b"]")
    assert json_files.read(path, most_bytes=22) == []
    with pytest.raises(UserError, match="expected a file of at most 21 bytes"):
        json_files.read(path, most_bytes=21)


def test_a_part_of_a_file_is_limited_like_a_whole_one():
    stream = io.BytesIO(b"\xef\xbb\xbf[1]")
    assert json_files.read_stream(stream, "some.zip: some.json") == "[1]"
    with pytest.raises(UserError, match=r"zip: some\.json: received b.*at most 3 bytes"):
        json_files.read_stream(io.BytesIO(b"[1, 2]"), "some.zip: some.json", most_bytes=3)


def test_a_wrong_line_is_named_by_its_number(tmp_path):
    path = tmp_path / "some.jsonl"
    path.write_text('1\n\n{"a": "\u2028"}\n')
    with pytest.raises(UserError, match=r"some\.jsonl, line 2: received ''; expected JSON"):
        list(json_files.read_lines(path))
    path.write_text('1\r\n{"a": "\u2028"}\r\n')
    assert [document for _, document in json_files.read_lines(path)] == [1, {"a": "\u2028"}]


def test_only_a_last_line_without_an_end_may_be_torn(tmp_path):
    path = tmp_path / "some.jsonl"
    path.write_text("[1]\n[2]\n[3")
    assert [document for _, document in json_files.read_lines(path, may_be_torn=True)] == [[1], [2]]
    with pytest.raises(UserError, match="line 3"):
        list(json_files.read_lines(path))
    path.write_text("[1]\n[2\n")
    with pytest.raises(UserError, match="line 2"):
        list(json_files.read_lines(path, may_be_torn=True))
    path.write_text("[1]\n[2]")
    assert len(list(json_files.read_lines(path))) == 2


def test_what_is_not_finite_is_written_as_null_with_a_warning(tmp_path, caplog):
    path = tmp_path / "some.json"
    json_files.write(path, {"a": math.nan, "b": [1.5, -math.inf], "c": "NaN"})
    assert json.loads(path.read_text()) == {"a": None, "b": [1.5, None], "c": "NaN"}
    assert "NaN" not in path.read_text().replace('"NaN"', "")
    assert f"{path}: not finite, written as null: a (nan), b[1] (-inf)" in caplog.text


def test_names_of_files_that_are_no_unicode_are_written_as_their_escapes():
    text = json_files.to_json({"a\udcff": ["\U0001f600", "b\udc80"]})
    assert json_files.parse(text) == {"a\\xff": ["\U0001f600", "b\\x80"]}


@pytest.mark.parametrize(
    ("document", "schema", "message"),
    [
        ([], Shape, r"here: received \[\]; expected "),
        ({}, Shape, "here: sides: received None; the field is missing"),
        ({"sides": "3"}, Shape, "here: sides: received '3'; expected a valid integer"),
        ({"sides": 3.0}, Shape, r"here: sides: received 3\.0; expected a valid integer"),
        ({"sides": True}, Shape, "here: sides: received True; expected a valid integer"),
        ({"sides": None}, Shape, "here: sides: received None; expected a valid integer"),
        ({"sides": 3, "name": 7}, Shape, "here: name: received 7; expected a valid string"),
        ([{"sides": 3}, {"sides": []}], list[Shape], r"here: \[1\]\.sides: received \[\]"),
    ],
)
def test_a_document_of_another_schema_is_named_by_its_field(document, schema, message):
    with pytest.raises(json_files.ContentError, match=message):
        json_files.check(document, schema, "here")


def test_a_document_of_a_schema():
    assert json_files.check({"sides": 3, "name": "x"}, Shape, "here") == Shape(3, "x")


@settings(deadline=None, max_examples=50)
@given(DOCUMENTS)
def test_any_document_is_of_the_schema_or_refused_by_name(document):
    error = None
    try:
        shapes = json_files.check(document, dict[str, Shape], "here")
    except UserError as refusal:
        error = refusal
    if error is None:
        assert all(type(shape.sides) is int for shape in shapes.values())
        assert shapes.keys() == document.keys()
    else:
        assert str(error).startswith("here: ")
