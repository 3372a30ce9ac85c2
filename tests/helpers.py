"""What tests of several folders share: where the repository is, and commands run as users run them.

Importing TensorFlow takes longer than most commands that the tests run. So `RunningPython` forks a
process that has imported it and nothing of this repository, and has not started it: what a command
sees is a fresh interpreter with its own arguments, folder, environment, output and devices.
"""

import atexit
import contextlib
import gc
import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]

# A gin file for the smallest search that there is.
TINY_SEARCH = """
include 'base/search.gin'

Search.dataset = '{dataset}'
Search.epochs = 1
Search.warm_up_epochs = 0
Search.batch_size = 2
Search.validation_images = 1
training_batches.crop_size = 33
Supernet.layers = 1
Supernet.strides = (4,)
Supernet.blocks = 1
Supernet.filters = 4
Supernet.operations = ('none', 'skip')
"""

# What the commands import that takes long. The package comes first: it sets TensorFlow's variables.
_IMPORTED = ("auto_deeplab", "tensorflow", "tf_keras", "official.vision.modeling.layers.deeplab")
_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(list(_IMPORTED))


# Runs the module that its first argument names.
_WITHOUT_SLOW_IMPORTS = """
import runpy
import sys

for slow in ("tensorflow", "tf_keras", "matplotlib", "onnxruntime", "openvino", "gradio"):
    sys.modules[slow] = None
del sys.argv[0]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


class RunningPython:
    """A process that runs `python ARGUMENTS`: `-m MODULE ...`, `-c CODE ...` or `FILE ...`.

    As a context it is killed at the end, whatever happened: the tests would wait for it for ever.
    What imports matter to (that there are none, or in which order) needs a process that has none:
    `run_new_python`.

    Args:
        arguments: What stands behind `python`.
        cwd: The folder that it runs in.
        env: Its whole environment; that of the tests by default.
    """

    def __init__(
        self,
        *arguments: str | Path,
        cwd: str | Path = REPOSITORY,
        env: Mapping[str, str] | None = None,
    ):
        self.args = [os.fspath(argument) for argument in arguments]
        self._folder = tempfile.TemporaryDirectory()
        self._printed = [Path(self._folder.name, name) for name in ("stdout", "stderr")]
        environment = dict(os.environ if env is None else env)
        self._process = _forks.Process(
            target=_run, args=(self.args, str(cwd), environment, self._printed)
        )
        self._process.start()
        self.pid = self._process.pid

    def __enter__(self) -> "RunningPython":
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def poll(self) -> int | None:
        """Returns its exit status, negative for the signal that ended it; None while it runs."""
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def printed(self) -> tuple[str, str]:
        """Returns what it has written to stdout and to stderr until now."""
        stdout, stderr = (path.read_text() if path.exists() else "" for path in self._printed)
        return stdout, stderr

    def finish(self, timeout: float = 600) -> subprocess.CompletedProcess[str]:
        """Waits for its end and returns its exit status and what it printed.

        Raises:
            subprocess.TimeoutExpired: It did not end within so many seconds, and was killed.
        """
        self._process.join(timeout)
        if self.poll() is None:
            self.kill()
            raise subprocess.TimeoutExpired(self.args, timeout)
        return subprocess.CompletedProcess(self.args, self.poll(), *self.printed())

    def kill(self) -> None:
        self._process.kill()
        self._process.join()


def run_python(
    *arguments: str | Path,
    cwd: str | Path = REPOSITORY,
    env: Mapping[str, str] | None = None,
    timeout: float = 600,
) -> subprocess.CompletedProcess[str]:
    """Runs a `RunningPython` to its end."""
    with RunningPython(*arguments, cwd=cwd, env=env) as process:
        return process.finish(timeout)


def run_command(
    module: str, *arguments: object, cwd: str | Path = REPOSITORY
) -> subprocess.CompletedProcess[str]:
    """Runs `python -m MODULE ARGUMENTS` to its end."""
    return run_python("-m", module, *map(str, arguments), cwd=cwd)


def run_new_python(
    *arguments: object, cwd: str | Path = REPOSITORY, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Runs `python ARGUMENTS` in an interpreter that has imported nothing.

    Args:
        arguments: What stands behind `python`.
        cwd: The folder that it runs in.
        options: Those of `subprocess.run`, such as `env`.
    """
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    return subprocess.run([sys.executable, *map(str, arguments)], cwd=cwd, text=True, **options)


def run_without_slow_imports(
    module: str, *arguments: object, cwd: str | Path = REPOSITORY
) -> subprocess.CompletedProcess[str]:
    """Runs `python -m MODULE ARGUMENTS` where nothing that takes long can be imported."""
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    arguments = ("-c", _WITHOUT_SLOW_IMPORTS, module, *arguments)
    return run_new_python(*arguments, cwd=cwd, env=environment)


def run_elsewhere(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Runs Python where this package is not: in another folder, without the environment's paths."""
    folder.mkdir(exist_ok=True)
    environment = {"PATH": os.environ["PATH"], "TF_CPP_MIN_LOG_LEVEL": "2"}
    return run_new_python("-I", *arguments, cwd=folder, env=environment)


def output_of(done: subprocess.CompletedProcess[str]) -> str:
    """Returns what a command printed; asserts that it succeeded."""
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def output_in(folder: Path, command: str, *arguments: object) -> str:
    """Runs `python -m auto_deeplab.COMMAND ARGUMENTS` in a folder and returns what it printed."""
    return output_of(run_command(f"auto_deeplab.{command}", *arguments, cwd=folder))


def assert_user_error(done: subprocess.CompletedProcess[str], message: str) -> None:
    """Asserts that a command ended with an error of the user's, which has `message` in it."""
    assert done.returncode == 1, done.stdout + done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def contents(folder: Path) -> dict[str, bytes]:
    """Returns the content of each file in a folder and below, by its path in there."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def _run(command: list[str], cwd: str, env: dict[str, str], printed: list[Path]) -> None:
    """Makes the forked process look like `python COMMAND`, and is that command."""
    # What was imported stays: without this each garbage collection looks through all of it.
    gc.freeze()
    for stream, path in zip((sys.stdout, sys.stderr), printed, strict=True):
        with path.open("wb") as file:
            os.dup2(file.fileno(), stream.fileno())
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    sys.orig_argv = [sys.executable, *command]
    try:
        match command:
            case ["-m", module, *arguments]:
                sys.path.insert(0, cwd)
                sys.argv = [module, *arguments]
                runpy.run_module(module, run_name="__main__", alter_sys=True)
            case ["-c", code, *arguments]:
                sys.path.insert(0, cwd)
                sys.argv = ["-c", *arguments]
                main = sys.modules["__main__"] = types.ModuleType("__main__")
                exec(compile(code, "<string>", "exec"), vars(main))
            case [file, *arguments]:
                sys.path.insert(0, str(Path(file).resolve().parent))
                sys.argv = [file, *arguments]
                runpy.run_path(file, run_name="__main__")
    finally:
        # multiprocessing ends a process without them.
        with contextlib.suppress(Exception):
            atexit._run_exitfuncs()


def skip_unless_computed(precision: str) -> None:
    """Skips a test where kernels for a half precision are chosen and not to be had.

    TensorFlow asks the processor for its instructions, oneDNN asks ONEDNN_MAX_CPU_ISA, too. Where
    that hides AVX-512 they disagree on bfloat16; a processor without AVX-512 has both agree.
    """
    if precision == "none":
        return
    import tensorflow as tf

    images, kernel = tf.ones([1, 4, 4, 4]), tf.ones([3, 3, 4, 4])
    try:
        tf.nn.conv2d(tf.cast(images, precision), tf.cast(kernel, precision), 1, "SAME")
    except tf.errors.AbortedError:
        limit = os.environ.get("ONEDNN_MAX_CPU_ISA")
        pytest.skip(f"oneDNN has no {precision} convolution with ONEDNN_MAX_CPU_ISA={limit}")
