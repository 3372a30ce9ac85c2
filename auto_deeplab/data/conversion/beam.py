"""Runs a conversion as an Apache Beam pipeline, for clusters: Dataflow, Flink, Spark.

A shard is one element of the pipeline: a worker converts its pairs with the function that local
threads run, and writes the file, so the bytes are the same. Images never pass through Beam's
shuffle. All workers must see the inputs and the output's folder under the same paths.
"""

import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path

from auto_deeplab.data.conversion.plan import Conversion
from auto_deeplab.data.conversion.serialization import from_json, to_json
from auto_deeplab.data.conversion.shards import Shard, convert_pair, write_shard
from auto_deeplab.foundations.errors import UserError, argument


def write_shards_with_beam(
    runner: str,
    options: Sequence[str],
    conversion: Conversion,
    shards: Sequence[tuple[Shard, str]],
    folder: Path,
    skip_bad: bool,
) -> None:
    """Writes shards in a Beam pipeline; a `ShardWriter` once the first two are bound.

    Args:
        runner: A Beam runner, such as "DirectRunner" or "FlinkRunner".
        options: Beam's pipeline options as its own commands take them.
        conversion: What to convert.
        shards: The shards to write and their fingerprints.
        folder: Where to write.
        skip_bad: As in `write_shard`.

    Raises:
        UserError: Beam is not installed, or does not know the runner or an option.
    """
    try:
        import apache_beam as beam
        from apache_beam.options.pipeline_options import PipelineOptions
    except ImportError as error:
        raise UserError(
            f"{argument('runner', runner)}: Apache Beam is not installed ({error}); expected an "
            "environment of its own with the extra auto-deeplab[beam], in a checkout: pip install "
            "-r requirements-beam.txt"
        ) from error

    logging.getLogger("apache_beam").setLevel(logging.WARNING)
    try:
        pipeline = beam.Pipeline(runner=runner, options=PipelineOptions(list(options)))
    except (ValueError, SystemExit) as error:
        raise UserError(f"{argument('runner', runner)} {' '.join(options)}: {error}") from error
    # What a shard needs goes through the folder: runners limit the size of a pipeline.
    lean_conversion = dataclasses.replace(conversion, splits={}, problems=())
    tasks = [folder / f"{shard.name}.task" for shard, _ in shards]
    try:
        for task, (shard, fingerprint) in zip(tasks, shards, strict=True):
            task.write_text(
                to_json((lean_conversion, shard, fingerprint, skip_bad)), encoding="utf-8"
            )
        with pipeline:
            _ = (
                pipeline
                | "shards" >> beam.Create([str(task) for task in tasks])
                | "spread" >> beam.Reshuffle()
                | "write" >> beam.Map(_write)
            )
    finally:
        for task in tasks:
            task.unlink(missing_ok=True)


def _write(task: str) -> None:
    conversion, shard, fingerprint, skip_bad = from_json(Path(task).read_text(encoding="utf-8"))
    results = (convert_pair(conversion, pair) for pair in shard.pairs)
    write_shard(shard, results, Path(task).parent, fingerprint, skip_bad)
