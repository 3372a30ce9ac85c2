"""The Dockerfile and the Kubernetes examples, as far as they can be checked without either."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from auto_deeplab.foundations.errors import TRY_AGAIN_STATUS
from auto_deeplab.foundations.gin_files import GIN_FOLDER
from tests.helpers import REPOSITORY

FOLDER = REPOSITORY / "docs" / "containers"


@pytest.fixture(scope="module")
def instructions():
    """The Dockerfile's instructions: (name, the rest with its line breaks)."""
    text = (FOLDER / "Dockerfile").read_text()
    text = "".join(line for line in text.splitlines(True) if not line.startswith("#"))
    lines = re.split(r"(?<!\\)\n", text)
    return [tuple(line.split(maxsplit=1)) for line in lines if line.strip()]


def test_what_the_image_copies_is_there_and_reaches_the_builder(instructions):
    copied = [rest.split()[0] for name, rest in instructions if name == "COPY"]
    assert {"auto_deeplab", "gin_configs", "requirements.lock", "tools"} <= set(copied)
    for name in copied:
        assert (REPOSITORY / name).exists(), name
    ignore = (FOLDER / "Dockerfile.dockerignore").read_text().splitlines()
    assert sorted(line[1:] for line in ignore if line.startswith("!")) == sorted(copied)


@pytest.mark.parametrize(
    ("variant", "status", "installed"),
    [("cpu", 0, ""), ("gpu", 0, "tensorflow[and-cuda]=={version}"), ("tpu", 1, "")],
)
def test_the_variant_installs_the_locked_tensorflow_with_cuda(
    instructions, tmp_path, variant, status, installed
):
    lock = shutil.copy(REPOSITORY / "requirements.lock", tmp_path)
    version = re.search(r"^tensorflow==(\S+)$", Path(lock).read_text(), re.MULTILINE)[1]
    (tmp_path / "pip").write_text('#!/bin/sh\necho "$@"\n')
    (tmp_path / "pip").chmod(0o755)
    (command,) = [rest for name, rest in instructions if name == "RUN" and "$VARIANT" in rest]
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=tmp_path,
        env=os.environ | {"VARIANT": variant, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == status, done.stderr
    assert installed.format(version=version) in done.stdout
    assert bool(done.stdout) == bool(installed)
    assert ("VARIANT: received 'tpu'; expected cpu or gpu" in done.stderr) == bool(status)


JOBS = [
    pytest.param(document["spec"], id=path.name)
    for path in sorted(FOLDER.glob("*.yaml"))
    for document in yaml.safe_load_all(path.read_text())
    if document["kind"] == "Job"
]


@pytest.mark.parametrize("job", JOBS)
def test_a_job_starts_again_after_a_preemption_and_not_after_an_error(job):
    pod = job["template"]["spec"]
    # What podFailurePolicy asks for.
    assert pod["restartPolicy"] == "Never"
    (container,) = pod["containers"]
    actions = {}
    for rule in job["podFailurePolicy"]["rules"]:
        if codes := rule.get("onExitCodes"):
            assert codes["containerName"] == container["name"]
            assert codes["operator"] == "In"
            actions |= dict.fromkeys(codes["values"], rule["action"])
    assert actions[TRY_AGAIN_STATUS] == actions[143] == "Ignore"
    assert actions[1] == "FailJob"
    assert pod["terminationGracePeriodSeconds"] >= 60


@pytest.mark.parametrize("job", JOBS)
def test_a_job_trains_into_its_volume(job):
    pod = job["template"]["spec"]
    (container,) = pod["containers"]
    words = " ".join([*container["command"], *container.get("args", [])]).split()
    assert "auto_deeplab.train" in words
    values = dict(word.removeprefix("--").split("=", 1) for word in words if word[:2] == "--")
    assert (GIN_FOLDER / values["gin_file"]).is_file()
    (mount,) = container["volumeMounts"]
    assert mount["name"] in [volume["name"] for volume in pod["volumes"]]
    assert Path(values["model_dir"]).is_relative_to(mount["mountPath"])
    # Data sets are named relative to it.
    assert container["workingDir"] == mount["mountPath"]


@pytest.mark.parametrize("index", [0, 3])
def test_each_pod_of_the_multi_worker_job_names_all_and_itself(tmp_path, index):
    service, _, job = yaml.safe_load_all((FOLDER / "multi_worker_job.yaml").read_text())
    spec, pod = job["spec"], job["spec"]["template"]["spec"]
    assert spec["completionMode"] == "Indexed"
    assert spec["parallelism"] == spec["completions"]
    (container,) = pod["containers"]
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "$TF_CONFIG"\n')
    python.chmod(0o755)
    done = subprocess.run(
        [*container["command"], *container["args"]],
        env={entry["name"]: entry["value"] for entry in container["env"]}
        | {"JOB_COMPLETION_INDEX": str(index), "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    # An Indexed Job names its pods' hosts by itself and the index, within the service.
    name, domain = job["metadata"]["name"], service["metadata"]["name"]
    assert pod["subdomain"] == domain
    assert service["spec"]["selector"] == {"job-name": name}
    port = container["ports"][0]["containerPort"]
    assert json.loads(done.stdout) == {
        "cluster": {
            "worker": [f"{name}-{pod}.{domain}:{port}" for pod in range(spec["completions"])]
        },
        "task": {"type": "worker", "index": index},
    }
