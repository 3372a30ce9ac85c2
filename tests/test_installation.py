"""The package as pip installs it: from its own sdist, without a network, used in another folder."""

import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.helpers import REPOSITORY, TINY_SEARCH, output_of, run_new_python, run_python

# Folders of the repository, and where an installed package has them.
FOLDERS = {
    "auto_deeplab": "auto_deeplab",
    "gin_configs": "auto_deeplab/gin_configs",
    "tools": "auto_deeplab/tools",
}
# What pip needs beside them.
SOURCES = (*FOLDERS, "LICENSE", "README.md", "pyproject.toml", "requirements", "setup.py")

# Runs a console script where nothing of the repository can be imported, though it has been.
AS_INSTALLED = """
import runpy
import sys

repository, target, script = sys.argv[1:4]
sys.argv[:4] = [script]
del sys.modules["auto_deeplab"]
sys.path[:] = [target, *(path for path in sys.path if path not in (repository, ""))]
import auto_deeplab
print(auto_deeplab.__file__)
runpy.run_path(script, run_name="__main__")
"""


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    """The folder that the package is installed into."""
    folder = tmp_path_factory.mktemp("installation")
    source = folder / "source"
    # Building writes into its source.
    source.mkdir()
    for name in SOURCES:
        if (REPOSITORY / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(REPOSITORY / name, source / name, ignore=ignored)
        else:
            shutil.copy(REPOSITORY / name, source)
    build = "import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])"
    output_of(run_new_python("-c", build, folder, cwd=source))
    (sdist,) = folder.glob("*.tar.gz")
    offline = ("--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check")
    output_of(
        run_new_python("-m", "pip", "install", *offline, f"--target={folder / 'target'}", sdist)
    )
    return folder / "target"


def _files(folder):
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_every_file_is_installed_and_no_other(target):
    expected = {
        f"{inside}/{name}"
        for folder, inside in FOLDERS.items()
        for name in _files(REPOSITORY / folder)
    }
    installed = {name for name in _files(target) if name.startswith("auto_deeplab/")}
    assert installed == expected
    assert {path.name for path in target.iterdir() if "dist-info" not in path.name} == {
        "auto_deeplab",
        "bin",
    }


def test_each_command_is_a_script_that_shows_the_help_of_the_module(target, tmp_path):
    modules = {
        f"auto-deeplab-{path.stem.replace('_', '-')}": f"{folder}.{path.stem}"
        for folder in ("auto_deeplab", "tools")
        for path in (REPOSITORY / folder).glob("*.py")
        if 'if __name__ == "__main__"' in path.read_text()
    }
    assert {"auto-deeplab-train", "auto-deeplab-convert-folder"} <= set(modules)
    assert {path.name for path in (target / "bin").iterdir()} == set(modules)

    def show(script):
        return subprocess.run(
            [target / "bin" / script, "--help"],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(target)},
            capture_output=True,
            text=True,
        )

    with ThreadPoolExecutor(2) as pool:
        for (script, module), done in zip(modules.items(), pool.map(show, modules), strict=True):
            assert done.returncode == 0, (script, done.stderr)
            assert f"python -m {module}" in done.stdout, script
            file = FOLDERS[module.partition(".")[0]] + f"/{module.partition('.')[2]}.py"
            assert f"{target / file}:\n" in done.stdout, script


def test_an_installed_search_runs_in_another_folder(target, colored_dataset, tmp_path):
    gin_file = Path(tmp_path, "tiny.gin")
    gin_file.write_text(TINY_SEARCH.format(dataset=colored_dataset))
    flags = ("--gin_file=tiny.gin", "--model_dir=found")
    script = target / "bin" / "auto-deeplab-train"
    done = run_python("-c", AS_INSTALLED, REPOSITORY, target, script, *flags, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    first, *_, last = done.stdout.splitlines()
    assert first == str(target / "auto_deeplab" / "__init__.py")
    assert last == "done: results are in found"
    assert {"config.gin", "genotype.json"} <= _files(tmp_path / "found")
