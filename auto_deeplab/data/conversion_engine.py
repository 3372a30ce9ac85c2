"""The engine of every converter: pairs of image and label files in, TFRecords out.

Work goes to `OUTPUT.partial`, which is renamed to `OUTPUT` when all of it is done. Interrupted work
continues: a shard that is finished is kept as long as its inputs and the parameters are the same.
The bytes written depend on the inputs and parameters alone, whatever the number of threads.
"""

import collections
import concurrent.futures
import contextlib
import fcntl
import hashlib
import itertools
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import tensorflow as tf
from tqdm import tqdm

from auto_deeplab.data import records
from auto_deeplab.data.conversion import Conversion, raise_problems
from auto_deeplab.data.description import DatasetDescription
from auto_deeplab.data.example import EncodedExample
from auto_deeplab.data.image_files import BadInput, Pair, convert_pair
from auto_deeplab.errors import UserError

# Part of what makes a finished shard reusable: raise it when the same inputs give other bytes.
_ENGINE_VERSION = 1

Item = TypeVar("Item")
Result = TypeVar("Result")


def convert(
    conversion: Conversion,
    output_dir: str | os.PathLike,
    overwrite: bool = False,
    threads: int | None = None,
    progress: bool = True,
) -> DatasetDescription:
    """Writes the TFRecords and `dataset.json` of a conversion into a new folder.

    Args:
      conversion: what to convert.
      output_dir: the folder to make.
      overwrite: whether a non-empty `output_dir` is replaced (once the new one is complete).
      threads: number of threads; by default one a core.
      progress: whether to show a progress bar.

    Returns:
      The dataset's description.

    Raises:
      UserError: `output_dir` is not empty, or inputs cannot be used: all of them are listed, and
        `output_dir` is not made.
    """
    description = conversion.describe()
    output = Path(output_dir)
    partial = output.with_name(output.name + ".partial")
    _refuse_non_empty(output, overwrite)
    try:
        with locked_folder(partial):
            _refuse_non_empty(output, overwrite)
            _write_shards(conversion, partial, threads or os.cpu_count() or 1, progress)
            description.save(partial)
            _replace_folder(partial, output)
    except OSError as error:
        raise UserError(
            f"{error.filename or output}: cannot be written: {error.strerror or error}"
        ) from error
    except tf.errors.OpError as error:
        raise UserError(f"{output}: cannot be written: {error.message}") from error
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


def ordered_map(
    executor: concurrent.futures.Executor,
    function: Callable[[Item], Result],
    items: Iterable[Item],
    ahead: int,
) -> Iterator[Result]:
    """Yields `function(item)` in the order of `items`, with at most `ahead` results waiting."""
    items = iter(items)
    waiting = collections.deque(
        executor.submit(function, item) for item in itertools.islice(items, ahead)
    )
    try:
        while waiting:
            result = waiting.popleft().result()
            waiting.extend(executor.submit(function, item) for item in itertools.islice(items, 1))
            yield result
    finally:
        for future in waiting:
            future.cancel()


def _write_shards(conversion: Conversion, partial: Path, threads: int, progress: bool) -> None:
    shards = list(_shards(conversion))
    _remove_strangers(partial, {name for name, _ in shards})
    fingerprints = {name: _fingerprint(conversion, pairs) for name, pairs in shards}
    unfinished = [
        (name, pairs)
        for name, pairs in shards
        if not _is_finished(partial / name, fingerprints[name])
    ]
    total = sum(len(pairs) for _, pairs in shards)
    done = total - sum(len(pairs) for _, pairs in unfinished)

    def convert_or_explain(pair: Pair) -> EncodedExample | BadInput:
        try:
            return convert_pair(pair, conversion.labels, conversion.scale)
        except BadInput as problem:
            return problem

    problems: list[str] = []
    with (
        concurrent.futures.ThreadPoolExecutor(threads) as executor,
        tqdm(
            total=total,
            initial=done,
            desc=f"converting {conversion.name}",
            unit="image",
            disable=not progress,
        ) as bar,
    ):
        all_pairs = itertools.chain.from_iterable(pairs for _, pairs in unfinished)
        results = ordered_map(executor, convert_or_explain, all_pairs, ahead=2 * threads + 2)
        with contextlib.closing(results):
            for name, pairs in unfinished:
                temporary = partial / (name + ".partial")
                good = True
                with tf.io.TFRecordWriter(str(temporary)) as writer:
                    for result in itertools.islice(results, len(pairs)):
                        if isinstance(result, BadInput):
                            problems.append(str(result))
                            good = False
                        elif good:
                            writer.write(records.serialize_example(result))
                        bar.update()
                if good:
                    os.replace(temporary, partial / name)
                    _mark_finished(partial / name, fingerprints[name])
                else:
                    temporary.unlink()
    some_finished = any(partial.iterdir())
    raise_problems(problems, f"What is finished is kept in {partial}." if some_finished else "")
    for name, _ in shards:
        _mark(partial / name).unlink()


def _shards(conversion: Conversion) -> Iterator[tuple[str, Sequence[Pair]]]:
    size = conversion.examples_per_shard
    for split, pairs in conversion.splits.items():
        count = -(-len(pairs) // size)
        for index in range(count):
            begin, end = (len(pairs) * i // count for i in (index, index + 1))
            yield records.shard_name(split, index, count), pairs[begin:end]


def _fingerprint(conversion: Conversion, pairs: Sequence[Pair]) -> str:
    """A hash of all that a shard's bytes depend on, with files by name, size and time."""

    def state(path: Path) -> list:
        try:
            stat = os.stat(path)
        except OSError:  # The conversion of the pair will tell why.
            return [str(path)]
        return [str(path), stat.st_size, stat.st_mtime_ns]

    facts = [
        _ENGINE_VERSION,
        conversion.scale,
        list(conversion.labels.train_ids.items()),
        [[pair.name, state(pair.image), state(pair.label)] for pair in pairs],
    ]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _mark(shard: Path) -> Path:
    return shard.with_name(shard.name + ".finished")


def _mark_finished(shard: Path, fingerprint: str) -> None:
    _mark(shard).write_text(fingerprint)


def _is_finished(shard: Path, fingerprint: str) -> bool:
    mark = _mark(shard)
    return shard.exists() and mark.exists() and mark.read_text() == fingerprint


def _remove_strangers(partial: Path, names: set[str]) -> None:
    """Removes what an interrupted conversion with other parameters has left."""
    keep = names | {_mark(Path(name)).name for name in names}
    for path in partial.iterdir():
        if path.name not in keep:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _refuse_non_empty(output: Path, overwrite: bool) -> None:
    if output.exists() and not output.is_dir():
        raise UserError(f"{output}: expected a folder, found a file")
    if output.is_dir() and any(output.iterdir()) and not overwrite:
        raise UserError(
            f"{output} exists and is not empty: name another folder or give --overwrite"
        )


def _replace_folder(new: Path, target: Path) -> None:
    old = target.with_name(target.name + ".old")
    if target.exists():
        shutil.rmtree(old, ignore_errors=True)
        os.replace(target, old)
    os.replace(new, target)
    shutil.rmtree(old, ignore_errors=True)
