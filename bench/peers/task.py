"""What a peer's variant hands to the worker."""

import dataclasses
from typing import Any, Callable


@dataclasses.dataclass
class Task:
    run: Callable[[], Any]  # the work; returns when it is done
    to_numpy: Callable[[Any], Any] = lambda result: result
    share: float = 1.0  # part of the whole work that `run` does: a sample, where the whole would take too long
    note: str = ""
    is_worth_warming: bool = True  # not where the first run is as good as any, and long
