"""The database's times, for people and for programs.

Why: a row may hold any number, so a time that no calendar has is told as unknown, and is no crash.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from mslock.notices import seconds

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_TWO_DAYS_MS = 2 * 86_400_000


def iso(ms: int | None) -> str | None:
    """ISO 8601 in UTC with milliseconds: `2026-11-21T22:30:00.000Z`."""
    if ms is None:
        return None
    try:
        moment = _EPOCH + timedelta(milliseconds=ms)
    except OverflowError:
        return None
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03}Z"


def local(ms: int) -> str:
    """By the reader's own clock and zone: `2026-11-21 23:30:00`."""
    try:
        return (_EPOCH + timedelta(milliseconds=ms)).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, ValueError, OSError):
        return "?"


def span(ms: int) -> str:
    """How long: `7s`, `3m20s`, `2h5m`, `12d3h`; nothing is shorter than 0s."""
    if ms < _TWO_DAYS_MS:
        return seconds(ms / 1000)
    return f"{ms // 86_400_000}d{ms % 86_400_000 // 3_600_000}h"


def ago(then_ms: int, now_ms: int) -> str:
    return f"{span(now_ms - then_ms)} ago"
