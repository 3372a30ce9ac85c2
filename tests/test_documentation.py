"""What the pages and the commands' own help name exists."""

import re

import pytest

from tests.helpers import REPOSITORY

PAGES = sorted(
    path.relative_to(REPOSITORY).as_posix()
    for pattern in ("*.md", "docs/**/*.md", "benchmarks/*.md")
    for path in REPOSITORY.glob(pattern)
)
CODE = sorted(
    path.relative_to(REPOSITORY).as_posix()
    for folder in ("auto_deeplab", "benchmarks", "tools")
    for path in (REPOSITORY / folder).rglob("*.py")
)
OURS = ("auto_deeplab", "benchmarks", "tools")


def commands_in(name):
    """The modules of the repository that a file's commands run."""
    text = (REPOSITORY / name).read_text()
    # A tool that is run as a file does not find the package.
    assert not re.findall(r"python \S*tools/\w+\.py", text), name
    found = re.findall(r"python -m (\w+(?:\.\w+)*)", text)
    return {module for module in found if module.partition(".")[0] in OURS}


def test_every_command_that_is_named_exists():
    named = {(name, module) for name in [*PAGES, *CODE] for module in commands_in(name)}
    assert ("README.md", "auto_deeplab.train") in named
    assert ("README.md", "tools.convert_folder") in named
    missing = {
        pair for pair in named if not (REPOSITORY / f"{pair[1].replace('.', '/')}.py").is_file()
    }
    assert not missing


def test_every_console_script_that_is_named_belongs_to_a_command():
    scripts = {
        (name, script)
        for name in PAGES
        for script in re.findall(r"\bauto-deeplab-([a-z0-9-]+)", (REPOSITORY / name).read_text())
    }
    assert ("README.md", "train") in scripts
    for name, script in scripts:
        file = f"{script.replace('-', '_')}.py"
        found = [
            folder for folder in ("auto_deeplab", "tools") if (REPOSITORY / folder / file).is_file()
        ]
        assert found, (name, script)


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_a_page_names_exists(page):
    text = (REPOSITORY / page).read_text()
    folder = (REPOSITORY / page).parent
    links = re.findall(r"\]\(([^)#:=\s]+)(?:#[^)]*)?\)", text)
    missing = [link for link in links if not (folder / link).exists()]
    paths = re.findall(rf"`((?:{'|'.join(OURS)}|gin_configs|requirements)/[\w./-]+)`", text)
    missing += [path for path in paths if not (REPOSITORY / path).exists()]
    assert not missing
