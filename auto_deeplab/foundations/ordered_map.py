"""Applies a function to many items with several workers, and gives the results in order."""

import collections
import concurrent.futures
import contextlib
import itertools
import os
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")
Result = TypeVar("Result")


def ordered_map(
    executor: concurrent.futures.Executor,
    function: Callable[[Item], Result],
    items: Iterable[Item],
    ahead: int,
) -> Generator[Result, None, None]:
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


@contextlib.contextmanager
def map_with_progress(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    workers: int | None,
    title: str,
    progress: bool,
    unit: str = "image",
) -> Iterator[Iterator[Result]]:
    """Gives `function(item)` in the order of `items`, from threads, with a progress bar."""
    workers = workers or os.cpu_count() or 1
    with (
        concurrent.futures.ThreadPoolExecutor(workers) as executor,
        contextlib.closing(ordered_map(executor, function, items, 2 * workers + 2)) as results,
        tqdm(total=len(items), desc=title, unit=unit, disable=not progress) as bar,
    ):
        # Counted before it is used: the user may stop at the last one.
        yield (result for result in results if bar.update() or True)
