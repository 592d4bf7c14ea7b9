"""Stages side by side: each begins once those that it needs are done."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TypeVar

from paas.errors import Cancelled

_T = TypeVar("_T")


def run_stages(
    order: Sequence[int],
    needs: Mapping[int, Sequence[int]],
    build: Callable[[int, Callable[[], bool]], _T],
    cancelled: Callable[[], bool],
) -> dict[int, _T]:
    """Call `build(stage, stopped)` for every stage, as many at once as there are processors.

    The first error ends the others (they are told by `stopped`) and is raised; of several, the first in order.
    """
    if len(order) == 1:
        return {order[0]: build(order[0], cancelled)}
    failed = threading.Event()

    def stopped() -> bool:
        return failed.is_set() or cancelled()

    results: dict[int, _T] = {}
    errors: dict[int, BaseException] = {}
    running: dict[Future[_T], int] = {}
    left = list(order)
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1, thread_name_prefix="stage") as pool:
        while left or running:
            if not errors:
                for stage in [stage for stage in left if all(other in results for other in needs[stage])]:
                    left.remove(stage)
                    running[pool.submit(build, stage, stopped)] = stage
            if not running:
                break
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                stage = running.pop(future)
                error = future.exception()
                if error is None:
                    results[stage] = future.result()
                else:
                    errors[stage] = error
                    failed.set()
    if errors:
        own = {stage: error for stage, error in errors.items() if not isinstance(error, Cancelled)} or errors
        raise own[min(own)]
    return results
