"""The supervisor's own clock, which no one can set and a suspended machine counts on; and chance."""

import os
import time


def now_s() -> float:
    """CLOCK_BOOTTIME in seconds, see clock_gettime(2). CLOCK_MONOTONIC stands still while a machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def race_pause_s() -> float:
    """How long whoever lost a race for a row lets the winner be, before it looks again."""
    return 0.005 + 0.015 * chance()


def chance() -> float:
    """A random number from 0 to below 1, without the milliseconds that importing `random` costs."""
    return int.from_bytes(os.urandom(4), "big") / 2**32
