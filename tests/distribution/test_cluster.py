"""TF_CONFIG, right and wrong."""

import json
import socket

import pytest

from auto_deeplab.distribution.cluster import Cluster
from auto_deeplab.foundations.errors import UserError

HOSTS = ["host0:2222", "host1:2222"]


def read(cluster, task):
    return Cluster.from_environment({"TF_CONFIG": json.dumps({"cluster": cluster, "task": task})})


def test_workers_are_counted_from_the_first():
    cluster = read({"worker": HOSTS}, {"type": "worker", "index": 1})
    assert (cluster.addresses, cluster.index) == (tuple(HOSTS), 1)


def test_a_chief_comes_before_the_workers():
    jobs = {"worker": HOSTS, "chief": ["boss:1"]}
    assert read(jobs, {"type": "worker", "index": 1}).index == 2
    cluster = read(jobs, {"type": "chief", "index": 0})
    assert (cluster.addresses, cluster.index) == (("boss:1", *HOSTS), 0)


FIRST = {"type": "worker", "index": 0}


@pytest.mark.parametrize(
    ("cluster", "task", "message"),
    [
        (None, FIRST, r"cluster: received None; expected an object"),
        ({}, FIRST, r"cluster: received the jobs none; expected worker"),
        ({"worker": HOSTS, "ps": HOSTS}, FIRST, r"received the jobs worker, ps; expected worker"),
        ({"worker": []}, FIRST, r"cluster.worker: received \[\]; expected a list of HOST:PORT"),
        ({"worker": ["host0"]}, FIRST, r"cluster.worker: received 'host0'; expected HOST:PORT"),
        ({"worker": ["host0:0"]}, FIRST, r"received 'host0:0'; .* with a port from 1 to 65535"),
        ({"worker": ["host0:65536"]}, FIRST, r"received 'host0:65536'; .* from 1 to 65535"),
        ({"worker": HOSTS[:1] * 2}, FIRST, r"expected different addresses"),
        ({"worker": HOSTS}, None, r"task: received None; expected an object"),
        ({"worker": HOSTS}, {"index": 0}, r"task.type: received None; expected a string"),
        (
            {"worker": HOSTS},
            {"type": "chief", "index": 0},
            r"task.type: received 'chief'; expected worker",
        ),
        (
            {"worker": HOSTS},
            {"type": "worker", "index": "0"},
            r"task.index: received '0'; expected a whole number",
        ),
        (
            {"worker": HOSTS},
            {"type": "worker", "index": 2},
            r"task.index: received 2; expected 0 to 1, as cluster.worker has 2 entries",
        ),
    ],
)
def test_what_makes_no_sense_is_told(cluster, task, message):
    with pytest.raises(UserError, match=f"^TF_CONFIG: .*{message}"):
        read(cluster, task)


def test_without_it_there_are_no_several_workers():
    with pytest.raises(UserError, match="multi_worker': the environment variable TF_CONFIG is not"):
        Cluster.from_environment({})
    with pytest.raises(UserError, match=r"TF_CONFIG: received .*; expected JSON .*such as"):
        Cluster.from_environment({"TF_CONFIG": "worker"})


def test_a_port_that_is_taken_is_named():
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        cluster = read({"worker": [f"localhost:{port}", "host1:2222"]}, FIRST)
        with pytest.raises(UserError) as error:
            cluster.check_port()
    assert str(error.value) == (
        f"TF_CONFIG: cluster: received 'localhost:{port}' for this worker, where it cannot listen: "
        "Address already in use; expected a port of this host that is free"
    )
    cluster.check_port()
