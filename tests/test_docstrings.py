"""The examples in docstrings show what happens: each is run."""

import ast
import doctest
import importlib
from pathlib import Path

import pytest

from tests.helpers import REPOSITORY

FOLDERS = ("auto_deeplab", "benchmarks", "tools")

# What one meets first has an example.
CENTRAL = (
    "auto_deeplab.data.pipeline.training_batches",
    "auto_deeplab.evaluation.metrics.ConfusionMatrix",
    "auto_deeplab.models.final.network.build_network",
    "auto_deeplab.models.supernet.supernet.Supernet",
    "auto_deeplab.models.supernet.textbook",
    "auto_deeplab.search_space",
    "auto_deeplab.search_space.cell.CellGraph",
    "auto_deeplab.search_space.genotype.Genotype",
    "auto_deeplab.search_space.trellis.TrellisGraph",
    "auto_deeplab.serving.engines.load.load_exported",
)


def docstrings_with_examples(path: Path):
    """Yields (module, name, docstring) for what a file documents with an example.

    From the source: doctest's own finder passes over functions that a decorator of another module
    wraps, such as `configurable`.
    """
    parts = path.relative_to(REPOSITORY).with_suffix("").parts
    module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    def visit(node, name):
        docstring = ast.get_docstring(node)
        if docstring and ">>>" in docstring:
            yield module, name, docstring
        for child in node.body:
            if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                yield from visit(child, f"{name}.{child.name}")

    yield from visit(ast.parse(path.read_text(encoding="utf-8")), module)


EXAMPLES = [
    example
    for folder in FOLDERS
    for path in sorted((REPOSITORY / folder).rglob("*.py"))
    for example in docstrings_with_examples(path)
]


def test_what_is_central_has_an_example():
    assert set(CENTRAL) <= {name for _, name, _ in EXAMPLES}


@pytest.mark.parametrize(
    ("module", "name", "docstring"), EXAMPLES, ids=[name for _, name, _ in EXAMPLES]
)
def test_the_example_does_what_it_says(module, name, docstring):
    names = vars(importlib.import_module(module)).copy()
    example = doctest.DocTestParser().get_doctest(docstring, names, name, None, None)
    differences = []
    doctest.DocTestRunner().run(example, out=differences.append)
    assert example.examples
    assert not differences, "".join(differences)
