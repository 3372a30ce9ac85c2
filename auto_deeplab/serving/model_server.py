"""What TensorFlow Serving needs to offer exported networks: its configuration, and whole models.

The formats are TensorFlow Serving's own: `ModelServerConfig` and `BatchingParameters`, protocol
buffers as text (https://www.tensorflow.org/tfx/serving/serving_config).
"""

import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import tensorflow as tf
from google.protobuf import text_format
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import prediction_log_pb2
from tensorflow_serving.config import model_server_config_pb2

from auto_deeplab.data import description
from auto_deeplab.foundations import json_files
from auto_deeplab.foundations.atomic_file import replacing
from auto_deeplab.foundations.errors import UserError, argument
from auto_deeplab.search_space import Genotype
from auto_deeplab.serving.export import assets, warm_up
from auto_deeplab.serving.export.versions import SAVED_MODEL_FILE, list_versions

SIGNATURES = ("serving_default", "image_bytes", "tf_example")
MODEL_CONFIG = "model.config"
BATCHING = "batching_parameters.txt"
COMMAND = "serve.sh"
# Where the container sees what is here.
_MODELS, _CONFIGURATION = "/models", "/configuration"
_GRPC_PORT, _REST_PORT = 8500, 8501


class ServedModel(NamedTuple):
    """A folder of versions that was checked.

    Attributes:
        name: By which clients ask for it.
        path: The folder.
        versions: The numbers of its versions, ascending; the server offers the last.
        fixed_size: Whether its newest version runs at one size, so that it gains from batches.
    """

    name: str
    path: Path
    versions: list[int]
    fixed_size: bool


class Batching(NamedTuple):
    """How requests that arrive together share a run of the network.

    Attributes:
        max_size: The most images a run.
        timeout_microseconds: How long a request waits for others.
        threads: Runs at a time.
        max_waiting: Batches that may wait; what comes then is refused as unavailable.
    """

    max_size: int = 4
    timeout_microseconds: int = 5000
    threads: int = 2
    max_waiting: int = 100

    def to_text(self) -> str:
        """Returns the text of a `BatchingParameters`.

        Inputs of several sizes are not padded to one: TensorFlow Serving may abort when it does.
        """
        return (
            f"max_batch_size {{ value: {self.max_size} }}\n"
            f"batch_timeout_micros {{ value: {self.timeout_microseconds} }}\n"
            f"num_batch_threads {{ value: {self.threads} }}\n"
            f"max_enqueued_batches {{ value: {self.max_waiting} }}\n"
        )


def check_model(folder: Path) -> ServedModel:
    """Checks that a folder of versions is what TensorFlow Serving can load, newest version first.

    Every file that the newest version names must be there and whole; its weights are read.

    Raises:
        UserError: Something is missing or damaged; the message names all of it.
    """
    name = folder.resolve().name
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", name):
        raise UserError(
            f"{folder}: received the name {name!r}, which is the model's and part of its URL; "
            "expected letters, digits, '_', '.' and '-'"
        )
    versions = list_versions(folder)
    if not versions:
        hint = ""
        if (folder / SAVED_MODEL_FILE).is_file():
            hint = f"; this is one version: did you mean {folder.parent}?"
        raise UserError(
            f"{folder}: has no numbered versions; expected a folder of them, as "
            f"auto_deeplab.export writes it{hint}"
        )
    version = folder / str(versions[-1])
    problems = list(_problems(version))
    if problems:
        raise UserError(f"{version}: cannot be served:\n  " + "\n  ".join(problems))
    fixed_size = assets.read_options(version)["input_size"] is not None
    return ServedModel(name, folder.resolve(), versions, fixed_size)


def write_configuration(
    output: Path,
    models: Sequence[ServedModel],
    batching: Batching | None,
    docker_image: str,
    host: str,
    overwrite: bool = False,
) -> list[Path]:
    """Writes model.config, batching_parameters.txt and serve.sh, which starts the server.

    Args:
        output: The folder to write to; made if need be.
        models: What to offer.
        batching: Its parameters; None for none.
        docker_image: Of TensorFlow Serving.
        host: The address at which the server is reached.
        overwrite: Replace files that exist.

    Returns:
        The files.

    Raises:
        UserError: Two models have one name, a path, the host or the image has characters that
            docker does not take, or a file exists.
    """
    names = [model.name for model in models]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise UserError(
            f"{argument('saved_model')}: received more than one folder that is called "
            f"{', '.join(repeated)}; expected a name of its own for each model"
        )
    for path in (output.resolve(), *(model.path for model in models)):
        # They are fields of a line of comma-separated values.
        if {",", '"'} & set(str(path)) or not str(path).isprintable():
            raise UserError(
                f"received the folder {str(path)!r}; expected a path without commas, quotation "
                "marks and line breaks, as docker mounts no other"
            )
    for name, value in (("host", host), ("docker_image", docker_image)):
        if not value or not value.isprintable():
            raise UserError(f"{argument(name)}: received {value!r}; expected it in one line")
    texts = {MODEL_CONFIG: _model_config(models)}
    if batching is not None:
        texts[BATCHING] = batching.to_text()
    texts[COMMAND] = _docker_command(
        output.resolve(), models, batching is not None, docker_image, host
    )
    files = [output / name for name in texts]
    for file in files:
        if file.exists() and not overwrite:
            raise UserError(
                f"{file}: exists already; expected another {argument('output')}, or "
                f"{argument('overwrite', True)}"
            )
    for file, text in zip(files, texts.values(), strict=True):
        with replacing(file) as temporary:
            temporary.write_text(text, encoding="utf-8")
            if file.name == COMMAND:
                temporary.chmod(0o755)
    return files


def _model_config(models: Sequence[ServedModel]) -> str:
    config = model_server_config_pb2.ModelServerConfig()
    for model in models:
        config.model_config_list.config.add(
            name=model.name, base_path=f"{_MODELS}/{model.name}", model_platform="tensorflow"
        )
    return text_format.MessageToString(config)


def _docker_command(
    output: Path, models: Sequence[ServedModel], batching: bool, docker_image: str, host: str
) -> str:
    mounts = {model.path: f"{_MODELS}/{model.name}" for model in models}
    mounts[output] = _CONFIGURATION
    # docker, as a URL, takes the colons of an IPv6 address for its own unless they are in brackets.
    address = f"[{host}]" if ":" in host else host
    lines = [
        ["exec", "docker", "run", "--rm"],
        *([f"--publish={address}:{port}:{port}"] for port in (_GRPC_PORT, _REST_PORT)),
        *(
            ["--mount", f"type=bind,source={source},target={target},readonly"]
            for source, target in mounts.items()
        ),
        [docker_image],
        [f"--model_config_file={_CONFIGURATION}/{MODEL_CONFIG}"],
    ]
    if batching:
        lines += [
            ["--enable_batching=true"],
            [f"--batching_parameters_file={_CONFIGURATION}/{BATCHING}"],
        ]
    command = " \\\n  ".join(map(shlex.join, lines))
    return (
        "#!/bin/sh\n"
        f"# gRPC at {address}:{_GRPC_PORT}, REST at http://{address}:{_REST_PORT}\n"
        f'{command} "$@"\n'
    )


def _problems(version: Path) -> Iterator[str]:
    """Yields what is missing or wrong in the folder of a version."""
    saved_model = saved_model_pb2.SavedModel()
    file = version / SAVED_MODEL_FILE
    try:
        saved_model.ParseFromString(file.read_bytes())
    except (OSError, DecodeError) as error:
        yield f"{file.name}: {_reason(error)}"
        return
    graphs = [graph for graph in saved_model.meta_graphs if "serve" in graph.meta_info_def.tags]
    if not graphs:
        yield f"{file.name}: no graph with the tag serve"
        return
    for signature in SIGNATURES:
        outputs = graphs[0].signature_def[signature].outputs
        if "class_map" not in outputs:
            yield f"{file.name}: signature {signature}: expected an output class_map"
    named = {asset.filename for asset in graphs[0].asset_file_def}
    readers = {
        description.FILE_NAME: lambda path: assets.load_description(version),
        assets.EXPORT: lambda path: assets.read_options(version),
        assets.GENOTYPE: Genotype.load,
        # Earlier versions wrote NaN for figures that do not exist.
        assets.METRICS: lambda path: json_files.read(path, nan_as_null=True),
    }
    for name in sorted(named | {description.FILE_NAME, assets.EXPORT}):
        path = version / "assets" / name
        if not path.exists():
            yield f"assets/{name}: missing"
            continue
        try:
            readers.get(name, json_files.read)(path)
        except UserError as error:
            yield str(error).replace(f"{path}", f"assets/{name}")
    yield from _problems_of_weights(version)
    requests = version / warm_up.FOLDER / warm_up.FILE
    if requests.is_file():
        try:
            for record in tf.data.TFRecordDataset(str(requests)):
                prediction_log_pb2.PredictionLog.FromString(record.numpy())
        except (tf.errors.OpError, DecodeError) as error:
            yield f"{warm_up.FOLDER}/{warm_up.FILE}: {_reason(error)}"


def _problems_of_weights(version: Path) -> Iterator[str]:
    prefix = version / "variables" / "variables"
    if not prefix.with_suffix(".index").is_file():
        yield "variables/variables.index: missing"
        return
    try:
        reader = tf.train.load_checkpoint(str(prefix))
        for name in reader.get_variable_to_shape_map():
            reader.get_tensor(name)
    except (tf.errors.OpError, RuntimeError, ValueError, IndexError) as error:
        yield f"variables/: {_reason(error)}"


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "missing"
    return str(getattr(error, "message", error)).splitlines()[0]
