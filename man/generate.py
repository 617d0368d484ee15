"""The manual page, mslock(1), written from the option table, the exit codes and the commands.

Why: an option that stands in two places will differ between them. Whatever the program knows of itself is taken from
it here; only what no table holds (the promises, the files, the examples) is written out. `make generate` writes
`mslock.1` beside this file, and tests/test_generated.py finds drift.

Source: man-pages(7), man(7).
"""

from __future__ import annotations

import inspect
import pathlib
import re
import textwrap
from collections.abc import Iterator

import click

from mslock import __version__
from mslock.commands import cli
from mslock.commands.help_page import exit_codes
from mslock.options import OPTIONS, Option

#: When the words of this page were last looked through: set by hand, so that no build ever changes the page.
REVISED = "2026-11-21"

_SYNOPSIS = (
    "mslock [_OPTIONS_] --name _NAME_ [--] _COMMAND_ [_ARG_...]",
    "mslock [_OPTIONS_] [--name _NAME_] -c _LINE_",
)

_DESCRIPTION = """\
*mslock* runs a job under a lock, or skips.
Put it in front of a crontab line on every server that shares a database: the job runs on one of them, and the others \
skip.
A lock is a row in a database, one for each name.

The job is _COMMAND_ with its arguments, or the shell _LINE_ of `-c`.
Its standard input, output and error are the caller's own, and its exit code becomes that of *mslock*.
The options of *mslock* end at the first word that is none of them; what the job is given is never read.

A run holds its lock by a lease, which is renewed while the job runs.
When the job has ended the lock is released, and cools down: for 10 seconds nobody may start it again, so that hosts \
whose clocks differ a little do not run it one after the other.
If the host that holds a lock vanishes, the lock is free when its lease ends.
If only its *mslock* was killed, the next invocation on that host sees it, and need not wait.

A run, a skip and an end print nothing, since *cron* would mail it: they go to *syslog*, facility cron.
Warnings and errors go to standard error and to *syslog*.

In this release the database is an SQLite file, so that the servers are the users and the containers of one machine.

Durations are whole numbers with units, larger ones first: `90`, `90s`, `5m`, `1h30m`, `2d`.
A lock's name is made of letters, digits and `._:@/+-`, at most 200 of them."""

_ENVIRONMENT = """\
An option is decided by the first of these that speaks of it: the command line, the environment, the user's \
configuration file, the system's configuration file, the default.
A variable that is empty counts as not set."""

_OTHER_VARIABLES = (
    (
        "MSLOCK_SHELL",
        "The shell that runs the _LINE_ of `-c`, instead of `/bin/sh`. `SHELL` is not asked.",
    ),
    ("MSLOCK_CONF", "The one configuration file to read, instead of the two below. It must be there."),
    ("MSLOCK_DEBUG", "If it is `1`, an error shows its traceback."),
)

_TOLD_VARIABLES = (
    ("MSLOCK_RUN_NAME", "The lock's name."),
    ("MSLOCK_RUN_ID", "The run's own id, 32 hexadecimal digits."),
    (
        "MSLOCK_RUN_FENCE",
        "A number that rises with every run of a lock. Whatever the job writes to can refuse a lower number than the"
        " highest that it has seen, and so the writes of a run that should be over.",
    ),
)

_FILES = (
    (
        "/etc/mslock.conf",
        "The system's configuration: lines of _KEY_=_VALUE_, where a key is one of the variables above;"
        " blank lines, and comments that begin with `#`.",
    ),
    ("~/.config/mslock/mslock.conf", "The user's configuration."),
    ("/var/lib/mslock/mslock.db", "The locks of root, where no database is set: on this machine only."),
    (
        "~/.local/state/mslock/mslock.db",
        "The same for other users; below `$XDG_STATE_HOME` if that is set. Both are made at their first use.",
    ),
)

_PROMISES = """\
No two jobs of one name run at once, also when *mslock* is killed, hosts vanish and the database stops, as long as the \
clocks of the hosts and of the database run at about the same speed, and the database keeps what it has acknowledged.
Where that fails, the fence tells the later run from the earlier.

Not promised is:"""

_NOT_PROMISED = (
    "That a job runs exactly once. A run that fails or is killed is not repeated.",
    "Anything about processes that leave the session of the job (daemons), or that cannot be killed (state D).",
    "Anything about an *mslock* that is frozen past the end of its lease; it stops its job when it wakes, 5 seconds"
    " later at most.",
    "Anything when both *mslock* and its guard are killed, and the job outlives its lease before any invocation on the"
    " same host has seen it.",
    "Anything after `forget --force`, until the next renewal, and with `--on-lost continue` and `--on-db-error run`.",
)

_EXAMPLES = (
    (
        "In the crontab of every server, instead of `0 3 * * * /usr/local/bin/report`:",
        "0 3 * * *  mslock --name report -- /usr/local/bin/report",
    ),
    (
        "A line that needs a shell; its lock is named after the user and the line:",
        "*/5 * * * *  mslock -c 'cd /srv/app && ./sync | logger -t sync'",
    ),
    (
        "At most one start an hour in the whole fleet, and never longer than half an hour:",
        "@hourly  mslock --name sync --min-interval 50m --timeout 30m -- sync",
    ),
    (
        "By hand, at once, though the last run ended a moment ago:",
        "mslock --name report --cooldown 0 -v -- /usr/local/bin/report",
    ),
    (
        "A deployment that waits for its turn:",
        "mslock --name deploy --wait 10m -- ./deploy",
    ),
)


def generate() -> str:
    """The text of `mslock.1`."""
    return "\n".join([*_page(), ""])


def _page() -> Iterator[str]:
    yield '.\\" Generated from the program by `make generate`; do not edit.'
    yield f'.TH MSLOCK 1 {REVISED} "mslock {__version__}" "User Commands"'
    yield ".SH NAME"
    yield f"mslock \\- {_roff('run a job on one server of a fleet; the others skip')}"
    yield ".SH SYNOPSIS"
    yield ".nf"
    for line in (*_SYNOPSIS, *(_usage(name, command) for name, command in _commands())):
        yield _synopsis(line)
    yield ".fi"
    yield ".SH DESCRIPTION"
    yield from _prose(_DESCRIPTION)
    yield ".SH OPTIONS"
    for option in OPTIONS:
        yield from _option(option)
    yield ".SH COMMANDS"
    yield from _prose("Where neither `--name` nor `-c` is given, the first word that is no option is one of these.")
    for name, command in _commands():
        yield from _command(name, command)
    yield ".SH ENVIRONMENT"
    yield from _prose(_ENVIRONMENT)
    yield ".PP"
    yield from _prose("These stand for the options of the same names:")
    yield ".PP"
    yield from _wrapped(", ".join(_roff(f"`{option.variable}`") for option in OPTIONS if option.variable) + ".")
    yield ".PP"
    yield from _prose("These have no option:")
    for name, text in _OTHER_VARIABLES:
        yield from _entry(f"`{name}`", text)
    yield ".PP"
    yield from _prose("The job is told:")
    for name, text in _TOLD_VARIABLES:
        yield from _entry(f"`{name}`", text)
    yield ".SH FILES"
    for path, text in _FILES:
        yield from _entry(f"_{path}_", text)
    yield ".SH EXIT STATUS"
    yield from _prose("The job's own, unchanged, if it ran to its end. Those of *mslock* itself are:")
    for code, text in exit_codes():
        yield from _entry(f"`{code}`", text[:1].upper() + text[1:])
    yield ".SH WHAT IS PROMISED"
    yield from _prose(_PROMISES)
    for text in _NOT_PROMISED:
        yield ".IP \\(bu 2"
        yield from _prose(text)
    yield ".SH EXAMPLES"
    for number, (text, line) in enumerate(_EXAMPLES):
        if number:
            yield ".PP"
        yield from _prose(text)
        yield from (".PP", ".in +4n", ".EX", _code(line), ".EE", ".in")
    yield ".SH SEE ALSO"
    yield from (".BR flock (1),", ".BR crontab (5),", ".BR syslog (3)")


def _commands() -> list[tuple[str, click.Command]]:
    return [(name, command) for name, command in cli.commands.items() if not command.hidden]


def _usage(name: str, command: click.Command) -> str:
    words = ["mslock", name]
    if any(isinstance(parameter, click.Option) for parameter in command.params):
        words.append("[_OPTIONS_]")
    context = click.Context(command)
    for parameter in command.params:
        if isinstance(parameter, click.Argument):
            word = parameter.make_metavar(context) if _METAVAR_TAKES_CONTEXT else parameter.make_metavar()  # type: ignore[call-arg]
            words.append(re.sub(r"[A-Z]+", r"_\g<0>_", word))
    return " ".join(words)


#: click 8.2 gave `make_metavar` a parameter.
_METAVAR_TAKES_CONTEXT = "ctx" in inspect.signature(click.Parameter.make_metavar).parameters


def _option(option: Option) -> Iterator[str]:
    value = f" _{option.metavar}_" if option.takes_value else ""
    if option.choices:
        value = " " + "|".join(f"`{choice}`" for choice in option.choices)
    text = option.help
    if option.default and option.default != "0":
        text += f" The default is {option.default}."
    yield from _entry(", ".join(f"`{flag}`{value}" for flag in option.flags), text)


def _command(name: str, command: click.Command) -> Iterator[str]:
    yield ".SS " + _synopsis(_usage(name, command))
    yield from _prose(inspect.cleandoc(command.help or "").replace("\b\n", ""))
    for parameter in command.params:
        if isinstance(parameter, click.Option) and not parameter.hidden and parameter.help:
            value = "" if parameter.is_flag else f" _{parameter.metavar or parameter.name}_"
            yield from _entry(", ".join(f"`{flag}`{value}" for flag in parameter.opts), _command_option_help(parameter))


def _command_option_help(option: click.Option) -> str:
    return (option.help or "") + (f" The default is {option.default}." if option.show_default else "")


def _entry(tag: str, text: str) -> Iterator[str]:
    yield ".TP"
    yield _roff(tag)
    yield from _prose(text)


def _prose(text: str) -> Iterator[str]:
    """Paragraphs, a sentence a line."""
    for number, paragraph in enumerate(text.strip().split("\n\n")):
        if number:
            yield ".PP"
        for sentence in re.split(r"(?<=[.:;]) +(?=[A-Z])", " ".join(paragraph.split())):
            yield from _wrapped(_roff(sentence))


def _wrapped(line: str) -> Iterator[str]:
    """A line in several that a reader of the source can see the end of; none may look like a request."""
    for part in textwrap.wrap(line, 80, break_long_words=False, break_on_hyphens=False):
        yield "\\&" + part if part[:1] in (".", "'") else part


def _synopsis(line: str) -> str:
    """What is typed as it stands in bold, what stands for something in italics, the rest as it is."""
    return _roff(re.sub(r"(?<![\w_])(mslock|-{1,2}[a-z-]+|[a-z][a-z-]*)(?![\w_])", r"`\1`", line))


def _roff(text: str) -> str:
    r"""A line with `code` and *bold* in bold and _placeholder_ in italics, in roff.

    A word's underscores are not markup: MSLOCK_DB.
    """
    parts = re.split(r"(`[^`]+`|\*[a-z]+\*|(?<![A-Za-z])_[^_]+_(?![A-Za-z]))", text)
    line = ""
    for part in parts:
        if part[:1] in "`*" and len(part) > 2:
            line += f"\\fB{_code(part[1:-1])}\\fP"
        elif part[:1] == "_" and part[-1:] == "_" and len(part) > 2:
            line += f"\\fI{_code(part[1:-1])}\\fP"
        else:
            line += re.sub(r"(?<!\w)-|-(?=-)", r"\\-", part.replace("\\", "\\e"))
    return line


def _code(text: str) -> str:
    """Text that is typed: its hyphens, quotes, tildes and carets are those of a keyboard."""
    for char, escape in (("\\", "\\e"), ("-", "\\-"), ("'", "\\(aq"), ("~", "\\(ti"), ("^", "\\(ha"), ("`", "\\(ga")):
        text = text.replace(char, escape)
    return text


if __name__ == "__main__":
    pathlib.Path(__file__).with_name("mslock.1").write_text(generate())
