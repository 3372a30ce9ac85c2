import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auto_deeplab.foundations.files import files_below, utf8_text


def _tree(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def _names(folder, *levels):
    found, unusable = files_below(folder, *levels)
    return [path.relative_to(folder).as_posix() for path in found], unusable


def test_files_are_found_at_any_depth_in_their_order(tmp_path):
    _tree(tmp_path, "b", "a/c", "a/b/d", "a/b/c")
    assert _names(tmp_path) == (["a/b/c", "a/b/d", "a/c", "b"], {})
    assert _names(tmp_path, 1) == (["b"], {})
    assert _names(tmp_path, 2) == (["a/c", "b"], {})


def test_hidden_files_and_what_is_in_hidden_folders_are_left_alone(tmp_path):
    folder = tmp_path / ".cache" / "photos"
    _tree(folder, "a", ".b", ".ipynb_checkpoints/a", "c/.thumbnails/d/e", "c/f")
    # What is above the folder given is the user's own choice.
    assert _names(folder) == (["a", "c/f"], {})


def test_linked_folders_and_files_are_found_under_the_names_of_their_links(tmp_path):
    _tree(tmp_path, "disk/ulm/1", "disk/ulm/deep/2", "disk/3")
    (tmp_path / "train").mkdir()
    (tmp_path / "train/ulm").symlink_to(tmp_path / "disk/ulm")
    (tmp_path / "train/again").symlink_to("ulm")
    (tmp_path / "train/3").symlink_to(tmp_path / "disk/3")
    expected = ["3", "again/1", "again/deep/2", "ulm/1", "ulm/deep/2"]
    assert _names(tmp_path / "train") == (expected, {})


def test_links_back_to_where_they_are_end(tmp_path):
    _tree(tmp_path, "a/b/1", "c/2")
    (tmp_path / "a/b/up").symlink_to(tmp_path)
    (tmp_path / "a/self").symlink_to(".")
    (tmp_path / "c/across").symlink_to(tmp_path / "a/b")
    assert _names(tmp_path) == (["a/b/1", "c/2", "c/across/1"], {})


def test_what_cannot_be_used_is_named(tmp_path):
    _tree(tmp_path, "1")
    (tmp_path / "ulm").symlink_to("/disk that is not mounted/ulm")
    (tmp_path / "round").symlink_to("round")
    os.mkfifo(tmp_path / "pipe.png")
    found, unusable = files_below(tmp_path)
    assert found == [tmp_path / "1"]
    assert unusable == {
        tmp_path / "pipe.png": "neither a file nor a folder",
        tmp_path / "round": "a link to round, which does not exist",
        tmp_path / "ulm": "a link to /disk that is not mounted/ulm, which does not exist",
    }


def test_folders_that_cannot_be_listed_are_named(tmp_path, monkeypatch):
    _tree(tmp_path, "open/1", "closed/2")
    scandir = os.scandir

    def refuse(path):
        # Whoever runs this as root may list anything.
        if os.fspath(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    found, unusable = files_below(tmp_path)
    assert found == [tmp_path / "open/1"]
    assert unusable == {tmp_path / "closed": "cannot be listed: Permission denied"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (b"caf\xe9.png", r"caf\xe9.png"),
        ("café 道路.png".encode(), "café 道路.png"),
        (b"\xff\xc3\xa9", "\\xffé"),
    ],
)
def test_names_of_files_become_text(name, text):
    assert utf8_text(os.fsdecode(name)) == text


@settings(deadline=None)
@given(st.text(st.characters(codec=None)))
def test_any_text_becomes_utf8_and_good_text_stays(text):
    result = utf8_text(text)
    assert result.encode().decode() == result
    try:
        text.encode()
    except UnicodeEncodeError:
        assert result != text
    else:
        assert result == text
