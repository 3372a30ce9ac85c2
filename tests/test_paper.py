"""docs/paper.md points at what exists, and citations of the paper at what the paper has."""

import ast
import re

import pytest

from tests.helpers import REPOSITORY

PAGE = REPOSITORY / "docs" / "paper.md"
SECTIONS = (
    "1", "2", "3", "3.1", "3.2", "4", "4.1", "4.1.1", "4.1.2", "4.2", "4.3",
    "5", "5.1", "5.2", "5.2.1", "5.2.2", "5.2.3", "6",
)  # fmt: skip
EQUATIONS = tuple(map(str, range(1, 9)))
FIGURES = tuple(map(str, range(1, 7)))
TABLES = tuple(map(str, range(1, 8)))
# The introduction, related work and the conclusion describe nothing that runs.
NOT_IN_THE_CODE = {"1", "2", "6"}

# "section 4.2", "sections 4.2 and 5.1", "tables 2 to 4", "equation (6)", "figure 2a".
NUMBERS = r"\(?\d+(?:\.\d+)*[a-c]?\)?"
CITATION = re.compile(
    rf"\b(section|equation|figure|table)s?\s+({NUMBERS}(?:(?:,| and| to)\s+{NUMBERS})*)",
    re.IGNORECASE,
)
# What names another work on the same line cites that one.
ANOTHER_WORK = re.compile(r"et al\.|Kingma|\bRFC\b|\bISO\b")


def rows(heading):
    """The rows of the table below a heading of the page, each a list of its cells."""
    part = PAGE.read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in part.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


@pytest.mark.parametrize(
    ("heading", "numbers"),
    [
        ("Equations", [f"({number})" for number in EQUATIONS]),
        ("Sections", [number for number in SECTIONS if number not in NOT_IN_THE_CODE]),
        ("Figures", list(FIGURES)),
        ("Tables", list(TABLES)),
    ],
)
def test_the_page_has_a_row_with_code_and_a_command_for_each(heading, numbers):
    table = rows(heading)
    assert [row[0] for row in table] == numbers
    for row in table:
        assert all(row), row
        assert "`" in row[2] or row[2].startswith("sections "), row
        assert "`python " in row[-1] or "](" in row[-1], row


def names_in(body):
    """The names that statements define, with what each stands for."""
    names = {}
    for statement in body:
        if isinstance(statement, ast.FunctionDef | ast.ClassDef):
            names[statement.name] = statement
        elif isinstance(statement, ast.Assign):
            names |= {t.id: statement for t in statement.targets if isinstance(t, ast.Name)}
        elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            names[statement.target.id] = statement
    return names


def exists(dotted):
    """Whether a dotted name is a package, a module, or defined in one; nothing is imported."""
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        path = REPOSITORY.joinpath(*parts[:length])
        if path.with_suffix(".py").is_file():
            body = ast.parse(path.with_suffix(".py").read_text()).body
            break
        if (path / "__init__.py").is_file():
            return length == len(parts)
    else:
        return False
    for name in parts[length:]:
        found = names_in(body).get(name)
        if found is None:
            return False
        body = getattr(found, "body", [])
    return True


def test_names_that_are_not_there_are_told_from_those_that_are():
    module = "auto_deeplab.models.supernet.textbook"
    assert exists("auto_deeplab.search_space")
    assert exists(module)
    assert exists(f"{module}.node")
    assert exists(f"{module}.OPERATIONS")
    assert exists(f"{module}.Weights.kernel")
    assert not exists("auto_deeplab.search_place")
    assert not exists(f"{module}.knot")
    assert not exists(f"{module}.Weights.colonel")
    assert not exists("auto_deeplab.search_space.knot")


def test_every_dotted_name_on_the_page_exists():
    names = re.findall(r"`(auto_deeplab\.[\w.]+)`", PAGE.read_text())
    assert len(names) > 40
    assert [name for name in names if not exists(name)] == []


def test_every_file_on_the_page_exists():
    text = PAGE.read_text()
    paths = re.findall(r"(?:^|[\s`])((?:\w+/)+\w+\.(?:py|gin|md))\b", text)
    paths += [f"gin_configs/{name}" for name in re.findall(r"--gin_file=([\w.]+)", text)]
    paths += [f"docs/{link}" for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text)]
    paths += [f"{name.replace('.', '/')}.py" for name in re.findall(r"python -m ([a-z_.]+)", text)]
    paths = {path for path in paths if path != "pytest.py"}
    assert len(paths) > 20
    assert [path for path in sorted(paths) if not (REPOSITORY / path).exists()] == []


def test_every_link_to_a_heading_leads_to_one():
    for page, anchor in re.findall(r"\]\(([\w.]+)#([\w-]+)\)", PAGE.read_text()):
        headings = re.findall(r"^#+ (.+)$", (PAGE.parent / page).read_text(), re.MULTILINE)
        assert anchor in [re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in headings]


def test_every_test_on_the_page_exists():
    commands = re.findall(r"pytest (tests/[\w/.]+)(?: -k (\w+))?", PAGE.read_text())
    assert len(commands) > 10
    for path, keyword in commands:
        if keyword:
            assert re.search(rf"^def test_\w*{keyword}", (REPOSITORY / path).read_text(), re.M)
        else:
            assert (REPOSITORY / path).exists()


def texts():
    """(path, text) of all that may cite the paper."""
    for folder in ("auto_deeplab", "gin_configs", "benchmarks", "tools", "tests", "docs"):
        for path in sorted((REPOSITORY / folder).rglob("*")):
            if path.suffix in (".py", ".gin", ".md", ".jinja") and path.name != "test_paper.py":
                yield path.relative_to(REPOSITORY).as_posix(), path.read_text()
    yield "README.md", (REPOSITORY / "README.md").read_text()


def citations(text):
    """(kind, number) of each citation that speaks of the paper."""
    for match in CITATION.finditer(text):
        line = text[text.rfind("\n", 0, match.start()) + 1 : match.start()]
        if not ANOTHER_WORK.search(line):
            for number in re.findall(r"\d+(?:\.\d+)*", match[2]):
                yield match[1].lower(), number


def test_citations_are_found():
    text = "As the paper's sections 4.2 and 5.1 say, and equation (6).\nZoph et al., section 9.9\n"
    text += "# Figure 2a; tables 2 to\n4, a table of 12 rows"
    assert list(citations(text)) == [
        ("section", "4.2"), ("section", "5.1"), ("equation", "6"), ("figure", "2"),
        ("table", "2"), ("table", "4"),
    ]  # fmt: skip


def test_citations_name_what_the_paper_has():
    known = {"section": SECTIONS, "equation": EQUATIONS, "figure": FIGURES, "table": TABLES}
    found = [(path, *citation) for path, text in texts() for citation in citations(text)]
    assert len(found) > 60
    assert [(path, kind, n) for path, kind, n in found if n not in known[kind]] == []


def test_pages_that_are_cited_exist():
    cited = {
        (path, page) for path, text in texts() for page in re.findall(r"\bdocs/[\w/]+\.md", text)
    }
    assert len(cited) > 10
    assert [entry for entry in sorted(cited) if not (REPOSITORY / entry[1]).exists()] == []
