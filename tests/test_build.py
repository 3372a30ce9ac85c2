"""What BUILD, the Makefile and the lock promise."""

import ast
import collections
import functools
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib import metadata

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

import auto_deeplab
from tests.helpers import REPOSITORY

FOLDERS = ("auto_deeplab", "benchmarks", "gin_configs", "tests", "tools")


@functools.cache
def file_names():
    """The paths of all files in the repository's folders; .venv and results are not looked at."""
    files = [path for folder in FOLDERS for path in (REPOSITORY / folder).rglob("*")]
    return [path.relative_to(REPOSITORY).as_posix() for path in files if path.is_file()]


def repository_files(*patterns):
    """The files that match one of Bazel's glob patterns."""
    signs = {"**/": "(.*/)?", "**": ".*", "*": "[^/]*"}
    expressions = [
        "".join(signs.get(part, re.escape(part)) for part in re.split(r"(\*\*/|\*\*|\*)", pattern))
        for pattern in patterns
    ]
    return {name for name in file_names() if any(re.fullmatch(e, name) for e in expressions)}


@pytest.fixture(scope="module")
def targets():
    """BUILD's targets by rule: BUILD is Python but for the rules, which are recorded here."""
    recorded = {"py_library": [], "py_binary": [], "py_test": []}

    def glob(include, exclude=()):
        return sorted(repository_files(*include) - repository_files(*exclude))

    def recorder(rule):
        return lambda **attributes: recorded[rule].append(attributes)

    exec(
        compile((REPOSITORY / "BUILD").read_text(), "BUILD", "exec"),
        {"glob": glob, "package": lambda **_: None, **{rule: recorder(rule) for rule in recorded}},
    )
    return recorded


def test_every_command_is_a_binary(targets):
    commands = {
        path
        for path in repository_files(
            "auto_deeplab/*.py", "benchmarks/*.py", "benchmarks/*/__main__.py", "tools/*.py"
        )
        if 'if __name__ == "__main__"' in (REPOSITORY / path).read_text()
    }
    assert {"auto_deeplab/decode.py", "benchmarks/search_quality/__main__.py"} <= commands
    assert {target["main"] for target in targets["py_binary"]} == commands


def test_every_test_file_is_a_test(targets):
    tests = repository_files("tests/**/test_*.py")
    assert {target["args"][0] for target in targets["py_test"]} == tests
    assert all(target["args"][0] in target["srcs"] for target in targets["py_test"])


def test_every_test_has_what_it_imports_from_other_tests(targets):
    for target in targets["py_test"]:
        for name in imported_names(target["args"][0]):
            if name.startswith("tests."):
                module = name.rpartition(".")[0].replace(".", "/")
                assert f"{module}.py" in target["srcs"], (target["name"], name)


def test_every_module_is_in_a_library(targets):
    covered = {source for target in targets["py_library"] for source in target.get("srcs", [])}
    assert repository_files("auto_deeplab/**/*.py") <= covered


def test_dependencies_exist_and_point_one_way(targets):
    libraries = {f":{target['name']}": target.get("deps", []) for target in targets["py_library"]}
    for rule in targets.values():
        for target in rule:
            assert set(target.get("deps", [])) <= set(libraries), target["name"]

    def below(name, above=()):
        assert name not in above, f"{name} depends on itself"
        for dependency in libraries[name]:
            below(dependency, (*above, name))

    for name in libraries:
        below(name)


@functools.cache
def imported_names(path):
    """Returns what a file imports anywhere in it, such as "auto_deeplab.data.schema.LABEL"."""
    found = []
    for node in ast.walk(ast.parse((REPOSITORY / path).read_text())):
        if isinstance(node, ast.Import):
            found += [name.name for name in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: a relative import"
            found += [f"{node.module}.{name.name}" for name in node.names]
    return found


def test_each_package_imports_the_packages_that_it_declares_and_nothing_above_them(targets):
    packages = {path.name for path in (REPOSITORY / "auto_deeplab").iterdir() if path.is_dir()}
    packages -= {"__pycache__"}
    commands = {path.stem for path in (REPOSITORY / "auto_deeplab").glob("*.py")}
    declared = {
        target["name"]: {dependency.removeprefix(":") for dependency in target["deps"]}
        for target in targets["py_library"]
        if target["name"] in packages
    }
    assert declared.keys() == packages
    for package, dependencies in declared.items():
        imported = set()
        for path in repository_files(f"auto_deeplab/{package}/**/*.py"):
            for name in imported_names(path):
                first, _, rest = name.partition(".")
                assert first not in set(FOLDERS) - {"auto_deeplab"}, (path, name)
                if first == "auto_deeplab":
                    module = rest.partition(".")[0]
                    assert module not in commands, f"{path} imports the command {module}"
                    imported.add(module)
        assert imported & packages - {package} == dependencies - {"package"}, package


def test_what_lies_beside_the_packages_is_a_command():
    for path in repository_files("auto_deeplab/*.py") - {"auto_deeplab/__init__.py"}:
        assert 'if __name__ == "__main__"' in (REPOSITORY / path).read_text(), path


def test_no_package_grows_beyond_what_one_overlooks():
    modules = repository_files("auto_deeplab/*/**/*.py")
    counts = collections.Counter(path.rpartition("/")[0] for path in modules)
    assert len(counts) > 20
    for folder, count in counts.items():
        # Beside its __init__.py about a dozen.
        assert count - 1 <= 13, folder


@pytest.mark.skipif(shutil.which("bazel") is None, reason="needs bazel")
def test_bazel_accepts_the_build_file(tmp_path):
    result = subprocess.run(
        ["bazel", "--batch", f"--output_user_root={tmp_path}", "query", "//..."],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert "//:auto_deeplab/decode" in result.stdout.split()


def requirements(name):
    """The requirements of a list and of the lists that it includes."""
    for line in (REPOSITORY / name).read_text().splitlines():
        if line.startswith("-r "):
            yield from requirements(line.removeprefix("-r "))
        elif line.strip() and line[0] != "#":
            yield Requirement(line)


def test_the_lock_has_exact_versions_and_nothing_else():
    for line in (REPOSITORY / "requirements.lock").read_text().splitlines():
        assert re.fullmatch(
            r"[a-z0-9._-]+(\[[a-z0-9-]+\])?==[\w.+]+( ; python_full_version [<>=]=? '[\d.*]+')?",
            line,
        ), line


@pytest.mark.parametrize("python", ["3.11.0", "3.12.0", "3.13.0"])
def test_the_lock_meets_the_requirements_on_every_python(python):
    environment = {"python_version": python.rpartition(".")[0], "python_full_version": python}

    def applies(requirement):
        return requirement.marker is None or requirement.marker.evaluate(environment)

    locked = {}
    for requirement in filter(applies, requirements("requirements.lock")):
        assert requirement.name not in locked, f"{requirement.name} is locked twice"
        (specifier,) = requirement.specifier
        locked[requirement.name] = specifier.version
    for requirement in filter(applies, requirements("requirements-demo.txt")):
        assert requirement.specifier.contains(locked[requirement.name]), requirement
    assert "opencv-python" not in locked, "it and opencv-python-headless share their files"


def test_commits_and_the_public_ci_run_what_is_run_here():
    hooks = yaml.safe_load((REPOSITORY / ".pre-commit-config.yaml").read_text())
    assert [hook["entry"] for repo in hooks["repos"] for hook in repo["hooks"]] == ["make lint"]
    workflow = yaml.safe_load((REPOSITORY / ".github" / "workflows" / "checks.yml").read_text())
    job = workflow["jobs"]["checks"]
    assert [step["run"] for step in job["steps"] if "run" in step] == [".ci/run"]
    assert os.access(REPOSITORY / ".ci" / "run", os.X_OK)
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    supported = SpecifierSet(project["requires-python"])
    minors = [f"3.{minor}" for minor in range(30) if supported.contains(f"3.{minor}.0")]
    assert job["strategy"]["matrix"]["python"] == minors


def test_the_newest_changes_are_those_of_this_version():
    headings = re.findall(r"^## (\S+)", (REPOSITORY / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == auto_deeplab.__version__


def test_each_requirement_is_named_once():
    """The GPU's is TensorFlow again, with what CUDA needs."""
    lists = sorted({path.name for path in (REPOSITORY / "requirements").iterdir()} - {"gpu.txt"})
    names = [
        requirement.name for name in lists for requirement in requirements(f"requirements/{name}")
    ]
    assert len(names) == len(set(names))
    (gpu,) = requirements("requirements/gpu.txt")
    (tensorflow,) = [r for r in requirements("requirements/run.txt") if r.name == "tensorflow"]
    assert (gpu.name, gpu.specifier) == ("tensorflow", tensorflow.specifier)


@pytest.mark.parametrize(
    ("folders", "lists"),
    [
        (FOLDERS, ("requirements.txt", "requirements-beam.txt", "requirements-demo.txt")),
        # What is installed with the package, alone and with its extras.
        (
            ("auto_deeplab", "tools"),
            [f"requirements/{name}.txt" for name in ("run", "addons", "beam", "demo")],
        ),
    ],
)
def test_what_is_imported_is_required(folders, lists):
    distributions = metadata.packages_distributions()
    required = {requirement.name for name in lists for requirement in requirements(name)}
    files = repository_files(*(f"{folder}/**/*.py" for folder in folders))
    imported = {name.partition(".")[0] for path in files for name in imported_names(path)}
    ours = set(FOLDERS)
    for module in sorted(imported - sys.stdlib_module_names - ours):
        names = {name.lower().replace("_", "-") for name in distributions.get(module, [module])}
        assert names & required, f"{module} comes from {names}"


PYTEST = "python: -m pytest --numprocesses=2 --dist=worksteal\n"


@pytest.fixture
def checkout(tmp_path):
    """A folder with the Makefile, a lock and an installed .venv whose python tells how it ran."""
    shutil.copy(REPOSITORY / "Makefile", tmp_path)
    (tmp_path / "requirements.lock").write_text("")
    binaries = tmp_path / ".venv" / "bin"
    binaries.mkdir(parents=True)
    for name in ("mypy", "python", "ruff"):
        (binaries / name).write_text(f'#!/bin/sh\necho "{name}: $@"\n')
        (binaries / name).chmod(0o755)
    (tmp_path / ".venv" / "installed").touch()
    return tmp_path


def make(folder, *arguments):
    # Not what the make that may be running these tests passes on to its children.
    ours = ("ARGS", "MAKEFLAGS", "MAKELEVEL", "MFLAGS", "PYTHON", "TEST_PROCESSES")
    environment = {name: value for name, value in os.environ.items() if name not in ours}
    return subprocess.run(
        ["make", "--silent", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    ("arguments", "output"),
    [
        (["search"], "python: -m auto_deeplab.train --gin_file=search.gin\n"),
        (
            ["search", "ARGS=--model_dir=x"],
            "python: -m auto_deeplab.train --gin_file=search.gin --model_dir=x\n",
        ),
        (["test"], PYTEST),
        (["lint"], "ruff: check\nruff: format --check\nmypy: \n"),
    ],
)
def test_a_second_call_installs_nothing(checkout, arguments, output):
    result = make(checkout, *arguments)
    assert (result.returncode, result.stdout) == (0, output)


def test_a_changed_lock_is_installed(checkout):
    os.utime(checkout / ".venv" / "installed", (0, 0))
    result = make(checkout, "test")
    assert result.returncode == 0, result.stderr
    assert re.search(
        r"^python: -m pip install .*-r requirements\.lock$", result.stdout, re.MULTILINE
    )
    assert make(checkout, "test").stdout == PYTEST


def test_without_a_python_in_range_the_message_is_clear(checkout):
    shutil.rmtree(checkout / ".venv")
    result = make(checkout, "test", "PYTHON=python2.4")
    assert result.returncode == 2
    assert "received 'python2.4'; expected Python 3.11, 3.12 or 3.13" in result.stderr
    assert not (checkout / ".venv").exists()


def test_on_a_machine_without_python_make_says_what_to_do(checkout, monkeypatch):
    shutil.rmtree(checkout / ".venv")
    binaries = checkout / "bin"
    binaries.mkdir()
    for name in ("make", "sh", "awk"):
        (binaries / name).symlink_to(shutil.which(name))
    monkeypatch.setenv("PATH", str(binaries))
    advice = (
        "PYTHON: received nothing (none is on the PATH); expected Python 3.11, 3.12 or 3.13. "
        "Install one, or name it: make PYTHON=/path/to/python3.11\n"
    )
    assert make(checkout).stdout.endswith(advice)
    assert make(checkout, "search").stderr.startswith(f"error: {advice}")


def test_help_lists_the_targets(checkout):
    result = make(checkout)
    for target in ("search", "test", "lint"):
        assert f"make {target}" in result.stdout
