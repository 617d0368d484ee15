"""Python's `sqlite3`, as `sqlite3`, without what it brings along.

Why: `sqlite3` adds dates, adapters and row classes to its C module, and that imports `functools` for one decorator,
which brings `collections`, `types` and three more: a quarter of an interpreter's start in all (`make bench`). mslock
uses none of it. So the C module is imported by itself, and finds a `functools` that is nothing but that decorator,
made of the same C code; whoever imports `functools` later gets the real one. Whatever of this a Python does not have,
it is given the ordinary import.
"""

from __future__ import annotations

import sys

__all__ = ["sqlite3"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any


def _load() -> ModuleType:
    if "functools" not in sys.modules:
        import _functools  # type: ignore[import-not-found]

        stand_in = type(sys)("functools")

        def lru_cache(size: int) -> Callable[[Callable[..., Any]], Any]:
            return lambda function: _functools._lru_cache_wrapper(function, size, False, tuple)

        stand_in.__dict__["lru_cache"] = lru_cache
        sys.modules["functools"] = stand_in
    else:
        stand_in = None
    try:
        import _sqlite3

        return _sqlite3
    finally:
        if stand_in is not None:
            del sys.modules["functools"]


try:
    sqlite3 = _load()
except (ImportError, AttributeError):
    import sqlite3
