"""Opens a page on this machine: drop an image, see what the network sees in it.

The page shows the overlay with a slider for its opacity, the classes with their shares of the
pixels, and the time that it took. It is reached from this machine alone unless --host says
otherwise, and needs no Internet. Ctrl-C ends it. It needs Gradio, which the extra
auto-deeplab[demo] brings, in a checkout: pip install -r requirements-demo.txt

Example:
  python -m auto_deeplab.demo --saved_model=exported/street_scenes
"""

import contextlib
import errno
import importlib.util
import ipaddress
import os
import signal
import socket
import sys
import tempfile
import webbrowser

from absl import flags

from auto_deeplab import command_line
from auto_deeplab.command_line import export_flags
from auto_deeplab.foundations.errors import UserError, reason_of
from auto_deeplab.serving.export.options import MOST_PIXELS_IN_REQUESTS

flags.adopt_module_key_flags(export_flags)
_HOST = flags.DEFINE_string(
    "host", "127.0.0.1", "The address to be reached at; 0.0.0.0 lets other machines in."
)
_PORT = flags.DEFINE_integer(
    "port",
    None,
    "Where to listen; by default the first port from 7860 that is free.",
    lower_bound=1,
    upper_bound=65535,
)
_MAX_UPLOAD_MEGABYTES = flags.DEFINE_integer(
    "max_upload_megabytes", 20, "The largest file that is taken.", lower_bound=1
)
_MAX_PIXELS = flags.DEFINE_integer(
    "max_pixels",
    MOST_PIXELS_IN_REQUESTS,
    "Larger images are refused before they are decoded.",
    lower_bound=1,
)
_OPEN_BROWSER = flags.DEFINE_bool("open_browser", False, "Open the page in the browser.")

_FIRST_PORTS = range(7860, 7960)
# An image that no network refuses for its size.
_WARM_UP_SIZE = (33, 33)
# The longest that Ctrl-C waits for pages that are open.
_CLOSING_SECONDS = 1


def main(argv: list[str]) -> None:
    del argv
    export = export_flags.given_export()
    if export is None:
        raise UserError("received no network; expected an exported one, such as --saved_model")
    if importlib.util.find_spec("gradio") is None:
        raise UserError(
            "Gradio is not installed; expected it, as the page is made with it: the extra "
            "auto-deeplab[demo] brings it, in a checkout: pip install -r requirements-demo.txt"
        )
    # As Ctrl-C does: to end without a word would leave people's images behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with (
        _listen(_HOST.value, _PORT.value) as listening,
        tempfile.TemporaryDirectory(prefix="auto_deeplab_demo_") as uploads,
    ):
        import numpy as np

        from auto_deeplab.serving.engines.load import load_exported

        print(f"loading {export[1]}", flush=True)
        network = load_exported(*export)
        print("warming up: the first image would wait longer otherwise", flush=True)
        network.class_maps(np.zeros([1, *_WARM_UP_SIZE, 3], np.uint8))

        # Gradio's own folder is everybody's on this machine. It is read when Gradio is imported.
        os.environ["GRADIO_TEMP_DIR"] = os.path.realpath(uploads)
        import uvicorn

        from auto_deeplab.serving.demo.page import demo_app

        app = demo_app(network, _MAX_PIXELS.value, _MAX_UPLOAD_MEGABYTES.value)
        url = _url(listening)
        print(f"open {url} (Ctrl-C ends this)", flush=True)
        if _OPEN_BROWSER.value:
            webbrowser.open(url)
        server = uvicorn.Server(
            uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=_CLOSING_SECONDS)
        )
        with contextlib.suppress(KeyboardInterrupt):
            server.run(sockets=[listening])


def _listen(host: str, port: int | None) -> socket.socket:
    """Takes a port before anything slow is done; browsers that come early wait for their answer.

    Raises:
        UserError: The port is taken or not allowed, or there is no such address here.
    """
    try:
        family, *_, address = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0]
    except socket.gaierror as error:
        raise UserError(f"--host={host}: {error.strerror}; expected an address here") from error
    if not ipaddress.ip_address(address[0]).is_loopback:
        print(
            f"warning: --host={host} lets other machines in, and there is no password: "
            "whoever reaches this address can use the page",
            file=sys.stderr,
        )
    for candidate in [port] if port else _FIRST_PORTS:
        try:
            return socket.create_server((address[0], candidate), family=family)
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                raise UserError(
                    f"--host={host}: is no address of this machine; expected one that is, such as "
                    "127.0.0.1"
                ) from error
            refused = error
    if port:
        raise UserError(
            f"--port={port}: {reason_of(refused)}; expected a free port, or no --port, "
            f"which takes the first free one from {_FIRST_PORTS[0]}"
        )
    raise UserError(
        f"ports {_FIRST_PORTS[0]} to {_FIRST_PORTS[-1]} are taken; expected a free one, which "
        "--port names"
    )


def _url(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    if ipaddress.ip_address(host).is_unspecified:
        host = "localhost"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


if __name__ == "__main__":
    command_line.run(main)
