"""Judges every request to the demo's page before Gradio sees it.

Gradio opens, copies and downloads what a request names: `{"path": ...}` may stand for any file that
this process can read, or for a URL, in any input of any endpoint, and `/gradio_api/file=` fetches
URLs. The page itself names uploads alone, so nothing else is let through.
"""

import json
import os
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from fastapi.responses import PlainTextResponse

# The terms of ASGI, by which Python's web servers and applications speak to each other.
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

# What the page's own code asks for. A route that a later Gradio adds stays closed until it is here.
_OPEN = {
    "GET": re.compile(
        r"/|/(favicon\.ico|robots\.txt|theme\.css|config)|/(assets|static)/.+"
        r"|/gradio_api/(app_id|upload_progress|queue/data|heartbeat/[^/]+)"
    ),
    "POST": re.compile(r"/gradio_api/upload"),
}
_FILE = "/gradio_api/file="
_JOIN = "/gradio_api/queue/join"
# Of a request to join the queue: it names a file and an opacity.
_LARGEST_BODY = 100_000


class Gate:
    """Lets through what the page needs, and no path or URL but those of uploads.

    Args:
        app: The application behind the gate.
        uploads: The folder in which it keeps uploads and results, and nothing else.
    """

    def __init__(self, app: Application, uploads: str | os.PathLike) -> None:
        self._app = app
        self._uploads = os.path.join(os.path.realpath(uploads), "")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on or answers it with status 403, 404 or 413."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close"})
            return
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        path = scope["path"]
        if method == "POST" and path == _JOIN:
            await self._join(scope, receive, send)
        elif method == "GET" and path.startswith(_FILE):
            if self._is_upload(path.removeprefix(_FILE)):
                await self._app(scope, receive, send)
            else:
                await _refuse(403, scope, receive, send)
        elif method in _OPEN and _OPEN[method].fullmatch(path):
            await self._app(scope, receive, send)
        else:
            await _refuse(404, scope, receive, send)

    async def _join(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes on what was read here, so that Gradio reads nothing else out of the same bytes."""
        body = bytearray()
        more = True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > _LARGEST_BODY:
                await _refuse(413, scope, receive, send)
                return
        try:
            judged = json.dumps(self._judged(json.loads(body))).encode()
        except (ValueError, RecursionError):
            await _refuse(403, scope, receive, send)
            return
        headers = [
            (name, value)
            for name, value in scope["headers"]
            if name not in (b"content-length", b"content-type", b"transfer-encoding")
        ]
        headers += [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(judged)),
        ]
        messages = iter([{"type": "http.request", "body": judged, "more_body": False}])

        async def receive_judged() -> Message:
            return next(messages, None) or await receive()

        await self._app({**scope, "headers": headers}, receive_judged, send)

    def _judged(self, value: Any) -> Any:
        """Returns a part of a request as Gradio may see it.

        Raises:
            ValueError: It names a file that is no upload.
        """
        if isinstance(value, list):
            return [self._judged(entry) for entry in value]
        if not isinstance(value, dict):
            return value
        judged = {name: self._judged(entry) for name, entry in value.items()}
        if "path" in judged:
            if not self._is_upload(judged["path"]):
                raise ValueError("a path that is no upload")
            # Gradio makes the URL of a path itself, and takes a stream's path unseen.
            judged |= {"url": None, "is_stream": False}
        return judged

    def _is_upload(self, path: Any) -> bool:
        """Whether a path is the one name of a file among the uploads: no link, no "..", no URL.

        A path that begins elsewhere is not looked at.
        """
        try:
            return (
                isinstance(path, str)
                and path.startswith(self._uploads)
                and os.path.realpath(path) == path
                and os.path.isfile(path)
            )
        except (OSError, ValueError):  # Such as a NUL in the path.
            return False


async def _refuse(status: int, scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse("Not for this page.", status)(scope, receive, send)
