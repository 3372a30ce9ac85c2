"""The engine of every converter: pairs of images and labels in, TFRecords out.

Work goes to `OUTPUT.partial`, which is renamed to `OUTPUT` when all of it is done. Interrupted work
continues: a shard that is finished is kept as long as its inputs and the parameters are the same.
The bytes written depend on the inputs and parameters alone, whatever the workers.
"""

import contextlib
import fcntl
import functools
import itertools
import os
import shutil
import sys
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import tensorflow as tf

from auto_deeplab.data.conversion.dry_run import dry_run
from auto_deeplab.data.conversion.plan import Conversion, list_problems, raise_problems
from auto_deeplab.data.conversion.shards import (
    Shard,
    ShardReport,
    convert_pair,
    is_part_of_conversion,
    plan_shards,
    read_report,
    report_path,
    shard_fingerprint,
    write_manifest,
    write_shard,
)
from auto_deeplab.data.description import FILE_NAME, DatasetDescription
from auto_deeplab.foundations.errors import UserError, argument, reason_of
from auto_deeplab.foundations.ordered_map import map_with_progress

# Writes shards, each with its fingerprint, into a folder.
ShardWriter = Callable[[Conversion, Sequence[tuple[Shard, str]], Path, bool], None]


def convert(
    conversion: Conversion,
    output_dir: str | os.PathLike,
    overwrite: bool = False,
    workers: int | None = None,
    progress: bool = True,
    skip_bad: bool = False,
    write_shards: ShardWriter | None = None,
) -> DatasetDescription:
    """Writes the TFRecords, `dataset.json` and `conversion.json` of a conversion into a new folder.

    Args:
        conversion: What to convert.
        output_dir: The folder to make.
        overwrite: Whether a non-empty `output_dir` is replaced (once the new one is complete).
        workers: Number of threads; by default one a core.
        progress: Whether to show a progress bar.
        skip_bad: Whether inputs that cannot be used are left out and listed on standard error.
        write_shards: What writes the shards; by default threads of this process.

    Returns:
        The dataset's description.

    Raises:
        UserError: `output_dir` is not empty or cannot be written, or inputs cannot be used: all of
            them are listed, and `output_dir` is not made.
    """
    conversion.check()
    output = Path(output_dir)
    # "." and ".." are no names to add to.
    named = output if output.name not in ("", "..") else output.resolve()
    partial = Path(f"{named}.partial")
    refuse_non_empty(output, overwrite)
    if conversion.problems and not skip_bad:
        # It cannot end well. Nothing is written, but the other problems are told as well.
        raise_problems([*conversion.problems, *dry_run(conversion, workers, progress).problems])
    write_shards = write_shards or functools.partial(_write_shards_here, workers, progress)
    try:
        with locked_folder(partial):
            refuse_non_empty(output, overwrite)
            shards = plan_shards(conversion)
            reports = _finish_shards(conversion, shards, partial, skip_bad, write_shards)
            problems = [*conversion.problems, *(p for report in reports for p in report.problems)]
            if not skip_bad:
                some_kept = any(report.sha256 for report in reports)
                raise_problems(problems, f"What is finished is kept in {partial}." * some_kept)
            examples = {
                split: sum(report.examples for report in reports if report.split == split)
                for split in conversion.splits
            }
            empty = [
                f"split {split}: no example is left" for split in examples if not examples[split]
            ]
            raise_problems([*empty, *problems] if empty else [])
            description = conversion.describe(examples)
            description.save(partial)
            write_manifest(conversion, reports, partial)
            for shard in shards:
                report_path(partial, shard).unlink()
            _replace_folder(partial, output)
    except OSError as error:
        raise UserError(
            f"{error.filename or output}: cannot be written: {reason_of(error)}"
        ) from error
    except tf.errors.OpError as error:
        raise UserError(f"{output}: cannot be written: {error.message}") from error
    if problems:
        print(list_problems(problems, consequence="left out", most=None), file=sys.stderr)
    return description


@contextlib.contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Makes `folder` and keeps other processes out of the same block until the end of this one.

    The folder may be renamed inside of the block. It is removed at the end if it is empty.
    """
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(folder, os.O_RDONLY)
        except FileNotFoundError:  # Another process has just renamed it.
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if _is_still(folder, descriptor):
                try:
                    yield
                finally:
                    # After a renaming the path may be another process's folder, empty as yet.
                    if _is_still(folder, descriptor):
                        with contextlib.suppress(OSError):
                            folder.rmdir()
                return
        finally:
            os.close(descriptor)


def _is_still(folder: Path, descriptor: int) -> bool:
    """Whether the open `descriptor` is the folder that has that path now."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(folder))
    except FileNotFoundError:
        return False


def _finish_shards(
    conversion: Conversion,
    shards: Sequence[Shard],
    folder: Path,
    skip_bad: bool,
    write_shards: ShardWriter,
) -> list[ShardReport]:
    """Writes the shards that are not finished yet; returns the reports of all."""
    _remove_strangers(folder, shards)
    fingerprints = {shard.name: shard_fingerprint(conversion, shard) for shard in shards}

    def report_of(shard: Shard) -> ShardReport | None:
        return read_report(shard, folder, fingerprints[shard.name])

    def is_finished(report: ShardReport | None) -> bool:
        return report is not None and bool(report.sha256) and (skip_bad or not report.problems)

    unfinished = [
        (shard, fingerprints[shard.name]) for shard in shards if not is_finished(report_of(shard))
    ]
    if unfinished:
        write_shards(conversion, unfinished, folder, skip_bad)
    reports = []
    for shard in shards:
        report = report_of(shard)
        if report is None:
            raise UserError(
                f"{folder / shard.name}: a worker has written it, but it is not here; expected "
                f"{folder} to be the same folder for every worker"
            )
        if not report.sha256:
            report_path(folder, shard).unlink()
        reports.append(report)
    return reports


def _write_shards_here(
    workers: int | None,
    progress: bool,
    conversion: Conversion,
    shards: Sequence[tuple[Shard, str]],
    folder: Path,
    skip_bad: bool,
) -> None:
    """Writes shards one after the other, with pairs converted by threads of this process."""
    pairs = [pair for shard, _ in shards for pair in shard.pairs]
    title = f"converting {conversion.name}"
    convert_one = functools.partial(convert_pair, conversion)
    with map_with_progress(convert_one, pairs, workers, title, progress) as results:
        for shard, fingerprint in shards:
            own_results = itertools.islice(results, len(shard.pairs))
            write_shard(shard, own_results, folder, fingerprint, skip_bad)


def _remove_strangers(partial: Path, shards: Sequence[Shard]) -> None:
    """Removes what an interrupted conversion with other parameters has left."""
    keep = {
        path.name
        for shard in shards
        for path in (partial / shard.name, report_path(partial, shard))
    }
    strangers = [path for path in partial.iterdir() if path.name not in keep]
    for path in strangers:
        if not is_part_of_conversion(path):
            raise UserError(
                f"{path}: is no part of a conversion; expected nothing else in {partial}, where "
                "unfinished work is kept: move it away, or name another output folder"
            )
    for path in strangers:
        path.unlink()


def refuse_non_empty(output: Path, overwrite: bool) -> None:
    """Raises a `UserError` if `output` is a file, or a folder with files that is not to go."""
    if output.exists() and not output.is_dir():
        raise UserError(f"{output}: received a file; expected a folder")
    if output.is_dir() and any(output.iterdir()) and not overwrite:
        raise UserError(
            f"{output}: received a folder that is not empty; expected another name, or "
            f"{argument('overwrite', True)}"
        )
    if output.is_dir() and any(output.iterdir()) and _is_worked_in(output):
        raise UserError(
            f"{output}: received the folder that this command runs in, which cannot be replaced; "
            "expected an empty one, or another"
        )


def _is_worked_in(folder: Path) -> bool:
    """Whether this process, and so the shell that started it, is in the folder or below it."""
    return Path.cwd().is_relative_to(folder.resolve())


def _replace_folder(new: Path, target: Path) -> None:
    if not target.exists():
        os.replace(new, target)
        return
    if _is_worked_in(target):
        # It is empty. Another folder of its name would not be the one that a shell is in. What says
        # that the records are complete comes last.
        for path in sorted(new.iterdir(), key=lambda path: path.name == FILE_NAME):
            os.replace(path, target / path.name)
        return
    old = target.with_name(f".{target.name}.{uuid.uuid4().hex}.old")
    os.replace(target, old)
    os.replace(new, target)
    shutil.rmtree(old, ignore_errors=True)
