"""The hosts of a training as the environment variable TF_CONFIG lists them."""

import dataclasses
import os
import re
import reprlib
import socket
from collections.abc import Mapping
from typing import Any

from auto_deeplab.foundations import json_files
from auto_deeplab.foundations.errors import UserError, argument, reason_of

VARIABLE = "TF_CONFIG"
EXAMPLE = (
    '{"cluster": {"worker": ["host0:2222", "host1:2222"]}, "task": {"type": "worker", "index": 0}}'
)
# The jobs whose tasks train, the first worker's first.
JOBS = ("chief", "worker")


@dataclasses.dataclass(frozen=True)
class Cluster:
    """Which processes train together, and which one this is.

    Args:
        addresses: HOST:PORT of each, in the order that all agree on.
        index: This process's place among them; 0 is the first worker, which writes.
    """

    addresses: tuple[str, ...]
    index: int

    def check_port(self) -> None:
        """Looks whether this process can listen at its own port.

        Raises:
            UserError: It cannot, such as where another process does.
        """
        address = self.addresses[self.index]
        try:
            socket.create_server(("", int(address.rpartition(":")[2]))).close()
        except OSError as error:
            raise UserError(
                f"{VARIABLE}: cluster: received {address!r} for this worker, where it cannot "
                f"listen: {reason_of(error)}; expected a port of this host that is free"
            ) from error

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Cluster":
        """Reads TF_CONFIG.

        Raises:
            UserError: It is missing or makes no sense.
        """
        text = environment.get(VARIABLE)
        if not text:
            raise UserError(
                f"{argument('distribution', 'multi_worker')}: the environment variable {VARIABLE} "
                f"is not set; expected such as {EXAMPLE}, with the same cluster and another index "
                "on each host"
            )
        try:
            document = json_files.parse(text, VARIABLE)
        except json_files.ContentError as error:
            raise UserError(f"{error}; expected such as {EXAMPLE}") from None
        cluster = _field(document, "cluster", dict, "")
        addresses = {job: _addresses(cluster, job) for job in JOBS if job in cluster}
        if not addresses or cluster.keys() - addresses.keys():
            raise UserError(
                f"{VARIABLE}: cluster: received the jobs {', '.join(cluster) or 'none'}; expected "
                f"worker, as in {EXAMPLE}"
            )
        every = [address for job in addresses.values() for address in job]
        if len(set(every)) < len(every):
            raise UserError(f"{VARIABLE}: cluster: received {every}; expected different addresses")
        task = _field(document, "task", dict, "")
        job = _field(task, "type", str, "task.")
        if job not in addresses:
            raise UserError(
                f"{VARIABLE}: task.type: received {job!r}; expected {' or '.join(addresses)}"
            )
        index = _field(task, "index", int, "task.")
        if not 0 <= index < len(addresses[job]):
            raise UserError(
                f"{VARIABLE}: task.index: received {index}; expected 0 to "
                f"{len(addresses[job]) - 1}, as cluster.{job} has {len(addresses[job])} entries"
            )
        before = sum(len(addresses[other]) for other in addresses if other != job)
        return cls(tuple(every), index + (before if job == "worker" else 0))


def _field(document: Any, name: str, kind: type, prefix: str) -> Any:
    value = document.get(name) if isinstance(document, dict) else None
    if not isinstance(value, kind) or isinstance(value, bool):
        names = {dict: "an object", str: "a string", int: "a whole number"}
        raise UserError(
            f"{VARIABLE}: {prefix}{name}: received {reprlib.repr(value)}; expected "
            f"{names[kind]}, as in {EXAMPLE}"
        )
    return value


def _addresses(cluster: dict, job: str) -> list[str]:
    addresses = cluster[job]
    if not isinstance(addresses, list) or not addresses:
        raise UserError(
            f"{VARIABLE}: cluster.{job}: received {addresses!r}; expected a list of HOST:PORT"
        )
    for address in addresses:
        match = isinstance(address, str) and re.fullmatch(r"[^\s/]+:(\d{1,5})", address)
        if not match or not 1 <= int(match[1]) <= 65535:
            raise UserError(
                f"{VARIABLE}: cluster.{job}: received {address!r}; expected HOST:PORT, such as "
                "host0:2222, with a port from 1 to 65535"
            )
    return addresses
