"""Files of others run no code: nothing reads Python objects or Python text from a file."""

import ast

import pytest

from tests.helpers import REPOSITORY

FOLDERS = ("auto_deeplab", "benchmarks", "tools")
# Modules that make objects of whatever class a file names.
MODULES = {"cloudpickle", "dill", "jsonpickle", "joblib", "marshal", "pickle", "shelve", "torch"}
# Calls that do, or that run a text as Python; with the argument that makes them safe.
CALLS = {
    "eval": None,
    "load_model": None,
    "numpy.load": "allow_pickle=False",
    "yaml.load": None,
    "yaml.unsafe_load": None,
}


def dangers(text):
    """Returns what a module's text should not have."""
    tree, modules, found = ast.parse(text), {}, []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
            modules |= {alias.asname or alias.name: alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names = [node.module]
        else:
            continue
        found += [name for name in names if name.partition(".")[0] in MODULES]
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            function, _, name = ast.unparse(node.func).rpartition(".")
            called = f"{modules.get(function, function)}.{name}".removeprefix(".")
            for danger in {called, name} & CALLS.keys():
                arguments = [ast.unparse(keyword) for keyword in node.keywords]
                if CALLS[danger] not in arguments:
                    found.append(called)
    return found


@pytest.mark.parametrize("folder", FOLDERS)
def test_nothing_reads_objects_from_files(folder):
    found = {
        str(path.relative_to(REPOSITORY)): dangers(path.read_text(encoding="utf-8"))
        for path in (REPOSITORY / folder).rglob("*.py")
    }
    assert found
    assert {path: names for path, names in found.items() if names} == {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("import pickle", ["pickle"]),
        ("from torch.serialization import load", ["torch.serialization"]),
        ("import numpy as np; np.load('a.npy')", ["numpy.load"]),
        ("import numpy as np; np.load('a.npy', allow_pickle=True)", ["numpy.load"]),
        ("import numpy as np; np.load('a.npy', allow_pickle=False)", []),
        ("tf_keras.models.load_model('a.keras')", ["tf_keras.models.load_model"]),
        ("eval('1')", ["eval"]),
        ("model.evaluate(); json.load(file)", []),
    ],
)
def test_each_is_found(text, expected):
    assert dangers(text) == expected
