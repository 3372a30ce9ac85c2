"""Writing a network as a SavedModel for whoever has TensorFlow."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tensorflow as tf
import tf_keras

from auto_deeplab.data.description import DatasetDescription
from auto_deeplab.foundations.errors import UserError, argument, reason_of
from auto_deeplab.search_space import Genotype
from auto_deeplab.serving.export import versions
from auto_deeplab.serving.export.assets import write_assets
from auto_deeplab.serving.export.options import ExportOptions
from auto_deeplab.serving.export.signatures import Signatures
from auto_deeplab.serving.export.warm_up import DEFAULT_SIZE, write_warm_up


def export_saved_model(
    model: tf_keras.Model,
    description: DatasetDescription,
    genotype: Genotype | None,
    output: str | os.PathLike,
    options: ExportOptions | None = None,
    version: int | None = None,
    metrics: dict[str, Any] | None = None,
    warm_up_size: tuple[int, int] | None = None,
) -> Path:
    """Writes a network as a version in a folder, as TensorFlow Serving expects it.

    The version folder appears whole or not at all, and none that exists is touched.
    docs/deployment.md describes signatures and assets.

    Args:
        model: Maps normalized images to logits at the images' size.
        description: Of the classes.
        genotype: Of the network, or None.
        output: The folder of versions, whose name is the model's; made if need be.
        options: See `ExportOptions`.
        version: Its number; by default the next one.
        metrics: To carry along; see `assets.collect_metrics`.
        warm_up_size: (height, width) of the images in the warm-up requests; by default the options'
            `input_size`, or 513x513.

    Returns:
        The folder of the version.

    Raises:
        UserError: The version exists, or the folder cannot be written.
    """
    output = Path(output)
    options = options or ExportOptions()
    with writing(output):
        versions.check_free(output, version)
        output.mkdir(parents=True, exist_ok=True)
        with versions.unfinished(output) as work:
            assets = Path(work, "assets")
            assets.mkdir()
            files = write_assets(assets, description, genotype, options, metrics)
            module = Signatures(model, description.palette, options, files)
            written = Path(work, "saved_model")
            tf.saved_model.save(module, str(written), signatures=module.functions)
            size = warm_up_size or options.input_size or DEFAULT_SIZE
            write_warm_up(written, output.resolve().name, size)
            return versions.publish(written, output, version)


@contextmanager
def writing(output: str | os.PathLike) -> Iterator[None]:
    """Turns what Python and TensorFlow raise where nothing can be written into a `UserError`.

    Args:
        output: What is written, for the message.

    Raises:
        UserError: A disk is full, or a file system refuses.
    """
    try:
        yield
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        raise UserError(
            f"{argument('output', output)}: cannot be written: {reason_of(error)}{where}"
        ) from error
    except tf.errors.OpError as error:
        # Such as ResourceExhaustedError, by which TensorFlow means a full disk too. Around the
        # reason it names an operation.
        reason = re.sub(r"\{\{.*?\}\}|\[Op:.*", "", error.message, flags=re.DOTALL)
        reason = " ".join(reason.split())
        raise UserError(f"{argument('output', output)}: cannot be written: {reason}") from error
