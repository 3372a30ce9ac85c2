"""What the pages and the commands' own help name exists, and the index has every page."""

import json
import re
from pathlib import Path

import pytest

from auto_deeplab.foundations.gin_files import GIN_FOLDER
from tests.helpers import REPOSITORY

DOCS = REPOSITORY / "docs"
PAGES = sorted(
    path.relative_to(REPOSITORY).as_posix()
    for pattern in ("*.md", "docs/**/*.md", "docs/*.ipynb", "benchmarks/*.md")
    for path in REPOSITORY.glob(pattern)
)
CODE = sorted(
    path.relative_to(REPOSITORY).as_posix()
    for folder in ("auto_deeplab", "benchmarks", "tools")
    for path in (REPOSITORY / folder).rglob("*.py")
)
OURS = ("auto_deeplab", "benchmarks", "tools")


def text_of(path: Path) -> str:
    """Returns what a file says: of a notebook all cells, with the code in fences."""
    if path.suffix != ".ipynb":
        return path.read_text()
    cells = [
        (cell["cell_type"], "".join(cell["source"]))
        for cell in json.loads(path.read_text())["cells"]
    ]
    return "\n\n".join(f"```\n{text}\n```" if kind == "code" else text for kind, text in cells)


def prose(page: Path) -> str:
    """Returns a page without its code and its comments, in which nothing is a link or a heading."""
    text = re.sub(r"^```.*?^```$", "", text_of(page), flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)


def links(page: Path) -> list[tuple[Path, str]]:
    """Returns the files that a page's relative links lead to, each with the anchor or ""."""
    text = re.sub(r"`[^`\n]*`", "", prose(page))
    targets = [target.partition("#") for target in re.findall(r"\]\(([^)\s]+)\)", text)]
    return [
        ((page.parent / path).resolve() if path else page, anchor)
        for path, _, anchor in targets
        if not re.match(r"[a-z]+:", path)
    ]


def anchors(page: Path) -> set[str]:
    """Returns the anchors that GitHub gives the headings of a page."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.*)$", prose(page), flags=re.MULTILINE):
        slug = re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
        repeated = (f"{slug}-{number}" for number in range(1, 100))
        found.add(slug if slug not in found else next(s for s in repeated if s not in found))
    return found


def commands_in(name):
    """The modules of the repository that a file's commands run."""
    text = text_of(REPOSITORY / name)
    # A tool that is run as a file does not find the package.
    assert not re.findall(r"python \S*tools/\w+\.py", text), name
    found = re.findall(r"python -m (\w+(?:\.\w+)*)", text)
    return {module for module in found if module.partition(".")[0] in OURS}


def is_command(module):
    """Whether `python -m MODULE` runs: a file, or a package with what it runs."""
    path = REPOSITORY / module.replace(".", "/")
    return path.with_suffix(".py").is_file() or (path / "__main__.py").is_file()


def test_every_command_that_is_named_exists():
    named = {(name, module) for name in [*PAGES, *CODE] for module in commands_in(name)}
    assert ("README.md", "auto_deeplab.train") in named
    assert ("docs/tutorial.ipynb", "tools.convert_folder") in named
    assert ("docs/search_quality.md", "benchmarks.search_quality") in named
    assert not {(name, module) for name, module in named if not is_command(module)}


def test_every_console_script_that_is_named_belongs_to_a_command():
    scripts = {
        (name, script)
        for name in PAGES
        for script in re.findall(r"\bauto-deeplab-([a-z0-9-]+)", text_of(REPOSITORY / name))
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
    text = text_of(REPOSITORY / page)
    paths = re.findall(rf"`((?:{'|'.join(OURS)}|gin_configs|requirements)/[\w./-]+)`", text)
    missing = [path for path in paths if not (REPOSITORY / path).exists()]
    gin_files = re.findall(r"--gin_file=(\w+\.gin)", text)
    missing += [name for name in gin_files if not (GIN_FOLDER / name).is_file()]
    assert not missing


@pytest.mark.parametrize("page", PAGES)
def test_every_relative_link_leads_to_a_file_and_an_anchor(page):
    for target, anchor in links(REPOSITORY / page):
        assert target.exists(), target
        assert not anchor or anchor in anchors(target), f"{target.name}#{anchor}"


def test_the_index_links_to_every_page():
    index = DOCS / "README.md"
    linked = {target for target, _ in links(index)} | {index}
    assert not [page for page in PAGES if REPOSITORY / page not in linked]


def test_the_readme_links_to_the_index_and_the_tutorial():
    linked = {target for target, _ in links(REPOSITORY / "README.md")}
    assert {DOCS / "README.md", DOCS / "tutorial.ipynb"} <= linked


def test_anchors_are_those_of_github(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# A `b` (c), d\n## Same\n```\n# no heading\n```\n## Same\n<!--\n# none\n-->\n")
    assert anchors(page) == {"a-b-c-d", "same", "same-1"}


def test_links_in_code_and_comments_do_not_count(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "[a](x.md#y) [b](#z) [c](https://d) `[e](f.md)` <!-- [g](h.md) -->\n```\n[i](j.md)\n```\n"
    )
    assert links(page) == [(tmp_path / "x.md", "y"), (page, "z")]
