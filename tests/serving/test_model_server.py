"""What TensorFlow Serving is given, read with its own definitions, and damaged models."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    message_factory,
    text_format,
    wrappers_pb2,  # noqa: F401  BatchingParameters consists of them.
)
from tensorflow_serving.config import model_server_config_pb2

from auto_deeplab.foundations.errors import UserError
from auto_deeplab.serving import model_server
from tests.helpers import REPOSITORY


def batching_parameters():
    """A new BatchingParameters.

    tensorflow-serving-api has no module for it. The fields are those of
    tensorflow_serving/servables/tensorflow/session_bundle_config.proto in tensorflow/serving.
    """
    field = descriptor_pb2.FieldDescriptorProto
    message = descriptor_pb2.DescriptorProto(name="BatchingParameters")
    int64 = ".google.protobuf.Int64Value"
    wrapped = {
        "max_batch_size": (1, int64),
        "batch_timeout_micros": (2, int64),
        "max_enqueued_batches": (3, int64),
        "num_batch_threads": (4, int64),
        "thread_pool_name": (5, ".google.protobuf.StringValue"),
    }
    for name, (number, type_name) in wrapped.items():
        message.field.add(
            name=name,
            number=number,
            type=field.TYPE_MESSAGE,
            type_name=type_name,
            label=field.LABEL_OPTIONAL,
        )
    message.field.add(
        name="allowed_batch_sizes", number=6, type=field.TYPE_INT64, label=field.LABEL_REPEATED
    )
    message.field.add(
        name="pad_variable_length_inputs",
        number=7,
        type=field.TYPE_BOOL,
        label=field.LABEL_OPTIONAL,
    )
    pool = descriptor_pool.Default()
    pool.Add(
        descriptor_pb2.FileDescriptorProto(
            name="test/batching_parameters.proto",
            package="test",
            syntax="proto3",
            dependency=["google/protobuf/wrappers.proto"],
            message_type=[message],
        )
    )
    descriptor = pool.FindMessageTypeByName("test.BatchingParameters")
    return message_factory.GetMessageClass(descriptor)()


def test_batching_parameters():
    text = model_server.Batching(8, 2000, 3, 50).to_text()
    parsed = text_format.Parse(text, batching_parameters())
    assert parsed.max_batch_size.value == 8
    assert parsed.batch_timeout_micros.value == 2000
    assert parsed.num_batch_threads.value == 3
    assert parsed.max_enqueued_batches.value == 50
    assert not parsed.pad_variable_length_inputs


def served(path, fixed_size=False):
    return model_server.ServedModel(Path(path).name, Path(path), [1], fixed_size)


def write(output, models, batching=None, **options):
    arguments = {"docker_image": "tensorflow/serving:2.20.0", "host": "127.0.0.1"} | options
    return model_server.write_configuration(Path(output), models, batching, **arguments)


def docker_arguments(script, folder):
    """What serve.sh calls docker with, by a docker that tells."""
    (folder / "bin").mkdir(exist_ok=True)
    docker = folder / "bin" / "docker"
    docker.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    docker.chmod(0o755)
    done = subprocess.run(
        [script, "--more=1"],
        env={"PATH": f"{folder / 'bin'}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


def test_several_models(tmp_path):
    models = [served("/exports/scenes"), served("/my exports/photos")]
    files = write(tmp_path / "c", models, model_server.Batching())
    assert [path.name for path in files] == [
        "model.config",
        "batching_parameters.txt",
        "serve.sh",
    ]
    config = text_format.Parse(files[0].read_text(), model_server_config_pb2.ModelServerConfig())
    assert [(m.name, m.base_path, m.model_platform) for m in config.model_config_list.config] == [
        ("scenes", "/models/scenes", "tensorflow"),
        ("photos", "/models/photos", "tensorflow"),
    ]
    text_format.Parse(files[1].read_text(), batching_parameters())
    assert docker_arguments(files[2], tmp_path) == [
        "run",
        "--rm",
        "--publish=127.0.0.1:8500:8500",
        "--publish=127.0.0.1:8501:8501",
        "--mount",
        "type=bind,source=/exports/scenes,target=/models/scenes,readonly",
        "--mount",
        "type=bind,source=/my exports/photos,target=/models/photos,readonly",
        "--mount",
        f"type=bind,source={tmp_path}/c,target=/configuration,readonly",
        "tensorflow/serving:2.20.0",
        "--model_config_file=/configuration/model.config",
        "--enable_batching=true",
        "--batching_parameters_file=/configuration/batching_parameters.txt",
        "--more=1",
    ]


def test_without_batching(tmp_path):
    files = write(tmp_path / "c", [served("/exports/scenes")], host="0.0.0.0")
    assert [path.name for path in files] == ["model.config", "serve.sh"]
    arguments = docker_arguments(files[1], tmp_path)
    assert "--publish=0.0.0.0:8501:8501" in arguments
    assert arguments[-2:] == ["--model_config_file=/configuration/model.config", "--more=1"]


HOSTILE = "$(touch x) `touch x` ; touch x # 'a' \\ &"


def test_what_a_user_gives_is_no_command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "models" / HOSTILE
    model = model_server.ServedModel("scenes", folder, [1], False)
    files = write(tmp_path / HOSTILE, [model], host=HOSTILE, docker_image=HOSTILE)
    arguments = docker_arguments(files[-1], tmp_path)
    assert f"--publish={HOSTILE}:8500:8500" in arguments
    assert f"type=bind,source={folder},target=/models/scenes,readonly" in arguments
    assert f"type=bind,source={tmp_path / HOSTILE},target=/configuration,readonly" in arguments
    assert HOSTILE in arguments
    assert not (tmp_path / "x").exists()


def test_an_ipv6_address_is_in_brackets(tmp_path):
    files = write(tmp_path / "c", [served("/exports/scenes")], host="::1")
    assert "--publish=[::1]:8501:8501" in docker_arguments(files[-1], tmp_path)


@pytest.mark.parametrize("value", ["a\ntouch x", "a\rtouch x", "a\0", "", "a\x1b[0m"])
@pytest.mark.parametrize("flag", ["host", "docker_image"])
def test_what_would_end_a_line_of_the_script_is_refused(tmp_path, flag, value):
    with pytest.raises(UserError, match=rf"^{flag}: received .*; expected it in one line"):
        write(tmp_path / "c", [served("/exports/scenes")], **{flag: value})
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize("name", ["a,b", 'a"b', "a\nb"])
def test_a_path_that_docker_would_take_apart_is_refused(tmp_path, name):
    with pytest.raises(UserError, match="expected a path without commas, quotation marks and"):
        write(tmp_path / name, [served("/exports/scenes")])
    assert not any(tmp_path.iterdir())


def test_configurations_that_cannot_be(tmp_path):
    with pytest.raises(UserError, match="more than one folder that is called scenes"):
        write(tmp_path, [served("/a/scenes"), served("/b/scenes")])
    with pytest.raises(UserError, match="expected a path without commas"):
        write(tmp_path, [served("/a,b/scenes")])
    assert not list(tmp_path.iterdir())
    write(tmp_path, [served("/a/scenes")])
    with pytest.raises(
        UserError,
        match=r"model\.config: exists already; expected another output, or overwrite=True",
    ):
        write(tmp_path, [served("/b/scenes")])
    write(tmp_path, [served("/b/scenes")], overwrite=True)
    assert "source=/b/scenes" in (tmp_path / "serve.sh").read_text()


def test_the_command(exported, tmp_path):
    command = [sys.executable, "-m", "auto_deeplab.serve", f"--saved_model={exported}"]
    done = subprocess.run(
        [*command, f"--output={tmp_path / 'serving'}"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert f"shapes: version 1 of {exported} is whole" in done.stdout
    script = shlex.quote(str(tmp_path / "serving" / "serve.sh"))
    assert f"start the server with: {script}" in done.stdout
    # The network runs at each image's own size.
    assert not (tmp_path / "serving" / "batching_parameters.txt").exists()


@pytest.fixture
def copy(exported, tmp_path):
    return Path(shutil.copytree(exported, tmp_path / "shapes"))


def test_a_whole_model(copy):
    (copy / ".incomplete-x").mkdir()
    assert model_server.check_model(copy) == ("shapes", copy, [1], False)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda v: (v / "saved_model.pb").unlink(), "saved_model.pb: missing"),
        (lambda v: (v / "saved_model.pb").write_text("x"), "saved_model.pb: "),
        (lambda v: (v / "saved_model.pb").write_bytes(b""), "no graph with the tag serve"),
        (lambda v: (v / "assets" / "genotype.json").unlink(), "assets/genotype.json: missing"),
        (lambda v: cut(v / "assets" / "export.json"), "assets/export.json: "),
        (
            lambda v: (v / "assets" / "export.json").write_text("[]"),
            "assets/export.json: received []",
        ),
        (
            lambda v: (v / "assets" / "export.json").write_text('{"format": 1, "options": {}}'),
            "assets/export.json: options.input_size: received None; the field is missing",
        ),
        (
            lambda v: (v / "assets" / "dataset.json").write_text("{}"),
            "assets/dataset.json: format: received None; expected 1",
        ),
        (
            lambda v: (v / "assets" / "genotype.json").write_text("[" * 100_000),
            "assets/genotype.json: file: received",
        ),
        (lambda v: (v / "assets" / "metrics.json").write_bytes(b"\xff"), "expected UTF-8"),
        (lambda v: (v / "variables/variables.index").unlink(), "variables.index: missing"),
        (lambda v: shutil.rmtree(v / "variables"), "variables.index: missing"),
        (lambda v: next(v.glob("variables/*data*")).unlink(), "variables/: "),
        (lambda v: cut(next(v.glob("variables/*data*"))), "variables/: "),
        (
            lambda v: cut(v / "assets.extra" / "tf_serving_warmup_requests"),
            "assets.extra/tf_serving_warmup_requests: ",
        ),
    ],
)
def test_what_is_missing_is_named(copy, damage, message):
    damage(copy / "1")
    with pytest.raises(UserError, match="cannot be served") as error:
        model_server.check_model(copy)
    assert message in str(error.value)


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_all_that_is_missing_is_named_at_once(copy):
    for name in ("dataset.json", "export.json"):
        (copy / "1" / "assets" / name).unlink()
    with pytest.raises(
        UserError, match=r"assets/dataset.json: missing\n  assets/export.json: missing$"
    ):
        model_server.check_model(copy)


def test_folders_that_hold_no_versions(copy, tmp_path):
    with pytest.raises(UserError, match=rf"did you mean {copy}\?"):
        model_server.check_model(copy / "1")
    with pytest.raises(
        UserError, match=r"has no numbered versions; expected a folder .* writes it$"
    ):
        model_server.check_model(tmp_path / "missing")
    (tmp_path / "my model").mkdir()
    with pytest.raises(UserError, match="received the name 'my model'"):
        model_server.check_model(tmp_path / "my model")
