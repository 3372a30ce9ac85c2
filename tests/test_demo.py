"""The demo's command, as far as it gets without a network. tests/serving shows the page."""

import importlib.util
import re
import socket

import pytest

from tests.helpers import REPOSITORY, run_python

needs_gradio = pytest.mark.skipif(
    importlib.util.find_spec("gradio") is None,
    reason="needs Gradio: pip install -r requirements-demo.txt",
)
WITHOUT_GRADIO = """
import runpy
import sys

sys.modules["gradio"] = None
runpy.run_module("auto_deeplab.demo", run_name="__main__", alter_sys=True)
"""


def run(*flags, how=("-m", "auto_deeplab.demo")):
    return run_python(*how, *flags, timeout=60)


def test_without_gradio_the_message_says_how_to_install_it():
    done = run("--saved_model=missing", how=("-c", WITHOUT_GRADIO))
    assert done.returncode == 1
    assert re.fullmatch(
        r"error: .*Gradio.*: pip install -r requirements-demo\.txt\n", done.stderr
    ), done.stderr
    assert (REPOSITORY / "requirements-demo.txt").is_file()


def test_it_needs_a_network():
    done = run()
    assert (done.returncode, done.stderr) == (
        1,
        "error: received no network; expected an exported one, such as --saved_model\n",
    )


@needs_gradio
def test_a_port_that_is_taken_is_named():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run("--saved_model=missing", f"--port={port}")
    assert done.returncode == 1
    assert f"error: --port={port}: Address already in use; expected a free port" in done.stderr


@needs_gradio
@pytest.mark.parametrize("host", ["no-such-host.invalid", "192.0.2.1"])
def test_an_address_of_others_is_an_error(host):
    done = run("--saved_model=missing", f"--host={host}")
    assert done.returncode == 1
    assert f"error: --host={host}: " in done.stderr


@needs_gradio
@pytest.mark.parametrize(("host", "warned"), [("0.0.0.0", True), ("127.0.0.1", False)])
def test_letting_others_in_is_warned_of(host, warned):
    done = run("--saved_model=missing", f"--host={host}")
    assert ("there is no password" in done.stderr) == warned
    assert "missing: holds neither saved_model.pb nor numbered versions" in done.stderr
