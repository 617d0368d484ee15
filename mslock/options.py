"""The one table of options, and the front door's strict reader over it.

Why: everything that knows an option is derived from `OPTIONS`: this reader, click (the side door), the
variables, the configuration files, the manual page, the completions. The reader accepts or declines and
explains nothing: a declined line goes to click, which owns help and errors. So the reader may be short, and
a line that it accepts costs no import.
"""

from __future__ import annotations

from mslock.errors import ExitCode

#: Seconds in a day; a duration is at most ten years, so that any sum of times fits a BIGINT.
_DAY = 86_400
_LONGEST_S = 3_650 * _DAY
_UNITS = {"d": _DAY, "h": 3_600, "m": 60, "s": 1}


class Option:
    """One option: where it may stand, what it takes, what it means.

    Attributes:
        flags: as typed, long form first.
        key: the name of the setting; `MSLOCK_<KEY>` is its variable, unless `only_on_line`.
        kind: `duration`, `text`, `choice`, `exit code` or `flag`.
        default: as a user would type it; empty for none.
        metavar: the placeholder in help.
        help: one sentence or two, for help, manual and completion.
        choices: the words that a `choice` takes.
    """

    __slots__ = ("choices", "default", "flags", "help", "key", "kind", "metavar", "only_on_line")

    def __init__(
        self,
        flags: tuple[str, ...],
        kind: str,
        help: str,
        *,
        metavar: str = "",
        default: str = "",
        choices: tuple[str, ...] = (),
        only_on_line: bool = False,
    ) -> None:
        self.flags = flags
        self.key = flags[0].lstrip("-").replace("-", "_")
        self.kind = kind
        self.help = help
        self.metavar = metavar or ("D" if kind == "duration" else "|".join(choices))
        self.default = default
        self.choices = choices
        self.only_on_line = only_on_line

    @property
    def variable(self) -> str:
        """The environment variable and configuration key; empty for one that stands on the line only."""
        return "" if self.only_on_line else "MSLOCK_" + self.key.upper()

    @property
    def takes_value(self) -> bool:
        return self.kind != "flag"


OPTIONS = (
    Option(
        ("--name",),
        "text",
        "The lock: one name, one job in the whole fleet. Required, unless -c, where it is derived from the line.",
        metavar="NAME",
        only_on_line=True,
    ),
    Option(
        ("--shell", "-c"),
        "text",
        "Run LINE with /bin/sh -c (MSLOCK_SHELL names another shell), as cron would.",
        metavar="LINE",
        only_on_line=True,
    ),
    Option(
        ("--db",),
        "text",
        "Where the lock is: sqlite:////path, or file:PATH to read the URL from a file."
        " By default an SQLite file of this machine.",
        metavar="URL",
    ),
    Option(
        ("--cooldown",),
        "duration",
        "Do not start within D of the last run's completion.",
        default="10s",
    ),
    Option(
        ("--min-interval",),
        "duration",
        "Do not start within D of the last run's start: at most one start per D in the fleet.",
        default="0",
    ),
    Option(
        ("--wait",),
        "duration",
        "Wait up to D for the lock, through a cool-down too, instead of skipping.",
        default="0",
    ),
    Option(
        ("--timeout",),
        "duration",
        f"Stop the job after D, and exit {ExitCode.TIMED_OUT}; 0 is no limit.",
        default="0",
    ),
    Option(
        ("--kill-after",),
        "duration",
        "From SIGTERM to SIGKILL, where mslock itself decides to stop a job.",
        default="10s",
    ),
    Option(
        ("--lease",),
        "duration",
        "How long a held lock stays held without a renewal; at least 3 times kill-after, plus 5s.",
        default="5m",
    ),
    Option(
        ("--on-lost",),
        "choice",
        "What happens to the job when the lock is lost or the supervisor dies.",
        default="stop",
        choices=("stop", "continue"),
    ),
    Option(
        ("--on-orphan",),
        "choice",
        "What to do about a job on this machine whose supervisor has died.",
        default="wait",
        choices=("wait", "kill"),
    ),
    Option(
        ("--on-db-error",),
        "choice",
        "When no answer can be had from the database at the start: fail, or run without a lock.",
        default="fail",
        choices=("fail", "run"),
    ),
    Option(
        ("--db-timeout",),
        "duration",
        "Bound on any one conversation with the database.",
        default="10s",
    ),
    Option(
        ("--skip-exit-code", "-E"),
        "exit code",
        "What a skip exits with.",
        metavar="N",
        default=str(ExitCode.SKIPPED),
    ),
    Option(
        ("--splay",),
        "duration",
        "Wait a random time up to D before asking, to spread a fleet.",
        default="0",
    ),
    Option(("--verbose", "-v"), "flag", "Tell of skips and starts on stderr.", only_on_line=True),
    Option(("--quiet", "-q"), "flag", "Tell nothing but errors.", only_on_line=True),
)

BY_FLAG = {flag: option for option in OPTIONS for flag in option.flags}


def duration_ms(text: str) -> int | None:
    """Milliseconds of `90`, `90s`, `5m`, `1h30m`, `2d`: whole numbers, larger units first; None if it is none."""
    if text.isascii() and text.isdigit():
        seconds = int(text) if len(text) < 12 else _LONGEST_S + 1
        return seconds * 1000 if seconds <= _LONGEST_S else None
    seconds, digits, last = 0, "", _DAY + 1
    for char in text:
        if char in "0123456789":
            digits += char
            continue
        unit = _UNITS.get(char, last)
        if unit >= last or not 0 < len(digits) < 12:
            return None
        seconds += int(digits) * unit
        digits, last = "", unit
    return seconds * 1000 if text and not digits and seconds <= _LONGEST_S else None


def read(argv: list[str]) -> tuple[dict[str, str], list[str]] | None:
    """A run line's options as typed, by key, and the words of its command; None declines the line.

    What it accepts, click reads to the same (tests/test_options.py holds both to it).
    """
    given: dict[str, str] = {}
    place, end = 0, len(argv)
    while place < end:
        word = argv[place]
        if word == "--":
            place += 1
            break
        if word[:1] != "-":
            break
        flag, equals, value = word.partition("=")
        option = BY_FLAG.get(flag)
        if option is None or (equals and (not option.takes_value or flag[:2] != "--")):
            return None
        place += 1
        if not option.takes_value:
            given[option.key] = "1"
            continue
        if not equals:
            if place == end or argv[place][:1] == "-":
                return None
            value = argv[place]
            place += 1
        given[option.key] = value
    words = argv[place:]
    if "shell" in given:
        return None if words else (given, words)
    return (given, words) if "name" in given and words else None
