"""The documentation: its links lead somewhere, the index has every page, its commands exist."""

import json
import re
from pathlib import Path

import pytest

from auto_deeplab.configuration import GIN_FOLDER
from tests.helpers import REPOSITORY

DOCS = REPOSITORY / "docs"
PAGES = sorted(
    page
    for folder in (REPOSITORY, REPOSITORY / "benchmarks", DOCS)
    for kind in ("*.md", "*.ipynb")
    for page in folder.glob(kind)
)
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def markdown(page: Path) -> str:
    """Returns what a page says: of a notebook all cells, with the code in fences."""
    if page.suffix != ".ipynb":
        return page.read_text()
    cells = [
        (cell["cell_type"], "".join(cell["source"]))
        for cell in json.loads(page.read_text())["cells"]
    ]
    return "\n\n".join(f"```\n{text}\n```" if kind == "code" else text for kind, text in cells)


def prose(page: Path) -> str:
    """Returns a page without its code and its comments, in which nothing is a link or a heading."""
    text = re.sub(r"^```.*?^```$", "", markdown(page), flags=re.DOTALL | re.MULTILINE)
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


@every_page
def test_every_relative_link_leads_to_a_file_and_an_anchor(page):
    for target, anchor in links(page):
        assert target.exists(), f"{page.name}: {target}"
        if anchor:
            assert anchor in anchors(target), f"{page.name}: {target.name}#{anchor}"


def test_the_index_links_to_every_page():
    linked = {target for target, _ in links(DOCS / "README.md")}
    missing = [page.name for page in PAGES if page not in linked | {DOCS / "README.md"}]
    assert not missing


def test_the_readme_links_to_the_index_and_the_tutorial():
    linked = {target for target, _ in links(REPOSITORY / "README.md")}
    assert {DOCS / "README.md", DOCS / "tutorial.ipynb"} <= linked


@every_page
def test_every_command_and_every_gin_file_that_a_page_names_exists(page):
    text = markdown(page)
    modules = re.findall(r"python -m ((?:auto_deeplab|benchmarks)\.\w+)", text)
    files = [module.replace(".", "/") + ".py" for module in modules]
    files += re.findall(r"(?<![\w/])tools/\w+\.py", text)
    for name in files:
        assert (REPOSITORY / name).is_file(), f"{page.name}: {name}"
    for name in re.findall(r"--gin_file=(\w+\.gin)", text):
        assert (GIN_FOLDER / name).is_file(), f"{page.name}: {name}"


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
