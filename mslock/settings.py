"""From what the user said, wherever it was said, to one `Settings` in mslock's own units.

Why: a flag beats the environment, which beats the user's file, which beats the system's file, which beats the
default; that order is one loop here, and each value remembers where it stood, so that an error names the
offender.
"""

from __future__ import annotations

import os

from mslock.errors import ConfigError, MslockError, UsageError
from mslock.options import OPTIONS, Option, duration_ms

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    #: What was said of a setting: the text, where it stood, and the error that it is if it is bad.
    Said = tuple[str, str, type[MslockError]]

SYSTEM_FILE = "/etc/mslock.conf"
_NAME_CHARS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:@/+-")
_NAME_LENGTH = 200
#: The setting of each variable; `MSLOCK_SHELL`, the shell of `-c`, is one without a flag.
_KEYS = {option.variable: option.key for option in OPTIONS if option.variable} | {"MSLOCK_SHELL": "MSLOCK_SHELL"}


class Settings:
    """All that a run is asked for. Times are milliseconds; `timeout_ms` 0 is none.

    Attributes:
        name: the lock.
        argv: the job's words.
        command: what it is called in rows and messages: its first word, and no argument, which may hold a password.
        shell: the shell that runs the line, or empty for a job without one.
        db: the database's URL, password and all.
    """

    __slots__ = (
        "argv",
        "command",
        "cooldown_ms",
        "db",
        "db_timeout_ms",
        "kill_after_ms",
        "lease_ms",
        "min_interval_ms",
        "name",
        "on_db_error",
        "on_lost",
        "on_orphan",
        "quiet",
        "shell",
        "skip_exit_code",
        "splay_ms",
        "timeout_ms",
        "verbose",
        "wait_ms",
    )

    name: str
    argv: list[str]
    command: str
    shell: str
    db: str
    cooldown_ms: int
    min_interval_ms: int
    wait_ms: int
    timeout_ms: int
    kill_after_ms: int
    lease_ms: int
    on_lost: str
    on_orphan: str
    on_db_error: str
    db_timeout_ms: int
    skip_exit_code: int
    splay_ms: int
    verbose: bool
    quiet: bool


def resolve(given: dict[str, str], words: list[str], environ: Mapping[str, str]) -> Settings:
    """The settings of a run line: `given` as typed, by key; `words` the command.

    Raises:
        UsageError: a word on the line or in the environment cannot be understood.
        ConfigError: a configuration file or the database's URL is bad.
    """
    settings = Settings()
    said = _said(given, environ)
    for option in OPTIONS:
        if option.kind == "duration":
            setattr(settings, option.key + "_ms", _value(option, said))
        elif option.kind != "text":
            setattr(settings, option.key, _value(option, said))
    if settings.verbose and settings.quiet:
        raise UsageError("-v and -q exclude each other")
    least_ms = 3 * settings.kill_after_ms + 5000
    if settings.lease_ms < least_ms:
        _, origin, error = said.get("lease") or said["kill_after"]
        raise error(f"{origin}: the lease must be at least 3 times kill-after plus 5s, here {least_ms // 1000}s")
    line = given.get("shell")
    settings.shell = ""
    if line is not None:
        if words:
            raise UsageError(f"-c takes one LINE, but {words[0]!r} stands behind it; quote the line as a whole")
        if not line.strip():
            raise UsageError("-c: the LINE is empty")
        settings.shell = said["MSLOCK_SHELL"][0] if "MSLOCK_SHELL" in said else "/bin/sh"
        words = [settings.shell, "-c", line]
    elif not words:
        raise UsageError("no COMMAND; write: mslock --name NAME -- COMMAND [ARG...]")
    settings.argv = words
    settings.command = words[0] if line is None else first_word(line) or settings.shell
    if "name" in given:
        settings.name = check_name(given["name"])
    elif line is not None:
        settings.name = derived_name(line, user_name(environ))
    else:
        raise UsageError("no lock; write: mslock --name NAME -- COMMAND [ARG...]")
    settings.db = _database(said, environ)
    return settings


def database(given: str | None, environ: Mapping[str, str]) -> str:
    """The database's URL for a command: `--db` as typed, or what the environment and the files say.

    Raises: as `resolve`.
    """
    return _database(_said({} if given is None else {"db": given}, environ), environ)


def db_timeout_s(environ: Mapping[str, str]) -> float:
    """The bound on a command's conversation with the database, in seconds.

    Raises: as `resolve`.
    """
    ms = _value(next(option for option in OPTIONS if option.key == "db_timeout"), _said({}, environ))
    return ms / 1000 if isinstance(ms, int) else 0.0


def check_name(name: str) -> str:
    """`name`, if it can be a lock's.

    Raises:
        UsageError: it cannot.
    """
    if 0 < len(name) <= _NAME_LENGTH and _NAME_CHARS.issuperset(name):
        return name
    raise UsageError(f"bad name {name!r}: 1 to {_NAME_LENGTH} of A-Z a-z 0-9 . _ : @ / + -")


def user_name(environ: Mapping[str, str]) -> str:
    """Who we are, as cron and sudo say it; the user database comes last: its server may be dead."""
    told = environ.get("LOGNAME") or environ.get("USER")
    if told:
        return told
    import pwd

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def derived_name(line: str, user: str) -> str:
    """The lock of a shell line: `user:word-12hex`, the same on every server that has the line.

    The word is the basename of the first that is no assignment; the hash leaves out a trailing `# mslock:`
    comment, so that a change of settings keeps the lock.
    """
    try:  # not hashlib: it loads OpenSSL for twelve digits
        from _sha2 import sha256  # type: ignore[import-not-found]
    except ImportError:
        from _sha256 import sha256  # type: ignore[import-not-found]
    bare, _, comment = line.rpartition("# mslock:")
    # A comment of the shell begins a word and ends the line: what is quoted, or followed by another line, is none.
    if not bare or not bare[-1].isspace() or any(char in comment for char in "'\"`\n"):
        bare = line
    digest: str = sha256(os.fsencode(bare.strip())).hexdigest()[:12]
    # Bytes, not characters: what a byte reads as depends on the locale, and cron's is another than a shell's.
    stem = os.fsencode(f"{user}:{os.path.basename(first_word(bare))}").decode("latin-1")
    return "".join(c if c in _NAME_CHARS else "-" for c in stem)[: _NAME_LENGTH - 13] + "-" + digest


def first_word(line: str) -> str:
    """The first word of a shell line that is no assignment; empty if there is none."""
    words = (word for word in line.split() if "=" not in word or not word.partition("=")[0].isidentifier())
    return next(words, "")


def _value(option: Option, said: dict[str, Said]) -> object:
    """The option's value in mslock's unit: durations in ms."""
    text, origin, error = said.get(option.key) or (option.default, "", UsageError)
    if option.kind == "flag":
        return bool(text)
    if option.kind == "choice":
        if text in option.choices:
            return text
        raise error(f"{origin}: {text!r} is neither {' nor '.join(option.choices)}")
    if option.kind == "exit code":
        if text.isascii() and text.isdigit() and len(text) < 4 and int(text) < 256:
            return int(text)
        raise error(f"{origin}: {text!r} is no exit code (0 to 255)")
    ms = duration_ms(text)
    if ms is None or (not ms and option.key == "db_timeout"):
        raise error(f"{origin}: {text!r} is no duration (such as 90, 90s, 5m, 1h30m, 2d; at most ten years)")
    return ms


def _said(given: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, Said]:
    """What was said of each setting, by whom it is decided; what nobody spoke of is left out."""
    said: dict[str, Said] = {}
    conf = environ.get("MSLOCK_CONF")
    if conf:
        _read_file(conf, said, required=True)
    else:
        _read_file(SYSTEM_FILE, said)
        file = os.path.expanduser("~/.config/mslock/mslock.conf")
        if file[:1] == "/":  # there is no home otherwise
            _read_file(file, said)
    for variable, key in _KEYS.items():
        text = environ.get(variable)
        if text:
            said[key] = (text, variable, UsageError)
    for key, text in given.items():
        said[key] = (text, "--" + key.replace("_", "-"), UsageError)
    return said


def _read_file(path: str, said: dict[str, Said], required: bool = False) -> None:
    """Add what a configuration file says: lines of KEY=VALUE, blank ones, and # comments."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            lines = file.read().split("\n")
    except (FileNotFoundError, NotADirectoryError) as error:
        if required:
            raise ConfigError(f"MSLOCK_CONF: {path}: {error.strerror}") from error
        return
    except OSError as error:
        raise ConfigError(f"configuration file {path}: {error.strerror}") from error
    for number, line in enumerate(lines, 1):
        variable, equals, text = line.strip().partition("=")
        variable = variable.rstrip()
        if not line.strip() or variable[:1] == "#":
            continue
        # What is no word may be a URL with a password, and is not shown.
        origin = f"{path}:{number}: {variable}" if variable.isidentifier() else f"{path}:{number}"
        key = _KEYS.get(variable)
        if not equals or key is None:
            raise ConfigError(f"{origin}: {'unknown key' if equals else 'not KEY=VALUE'}")
        text = text.strip()
        if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
            text = text[1:-1]
        if text:
            said[key] = (text, origin, ConfigError)


def _database(said: Mapping[str, Said], environ: Mapping[str, str]) -> str:
    if "db" not in said:
        return _default_database(environ)
    text, origin, _ = said["db"]
    if text[:5] != "file:":
        if "://" not in text:
            shown = repr(text) if text.replace("/", "").replace(".", "").isalnum() else "it"
            raise ConfigError(f"{origin}: {shown} is no database URL, such as sqlite:////path/to/mslock.db")
        return text
    path = text[5:]
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            url = file.read().strip()
    except (OSError, ValueError) as error:
        raise ConfigError(f"{origin}: {path}: {getattr(error, 'strerror', error)}") from error
    if not url or "\n" in url:
        raise ConfigError(f"{origin}: {path}: must hold one line, the database's URL")
    return url


def _default_database(environ: Mapping[str, str]) -> str:
    """The embedded database of this machine (root) or user; its folder is made, the file at first use."""
    state = "/var/lib"
    if os.geteuid():
        state = environ.get("XDG_STATE_HOME", "")
        if state[:1] != "/":  # a relative one is to be ignored (XDG Base Directory Specification)
            state = os.path.expanduser("~/.local/state")
        if state[:1] != "/":
            raise ConfigError("there is no home to keep locks in; set MSLOCK_DB to say where they are")
    folder = os.path.join(state, "mslock")
    if not os.path.isdir(folder):
        try:
            os.makedirs(folder, 0o700, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"{folder}: {error.strerror}; set MSLOCK_DB to say where the locks are") from error
    return f"sqlite:///{folder}/mslock.db"
