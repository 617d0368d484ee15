"""Who is heard first, which error a bad word is, and what a line's lock is called."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mslock import settings as settings_module
from mslock.errors import ConfigError, MslockError, UsageError
from mslock.options import OPTIONS, Option
from mslock.settings import Settings, check_name, database, derived_name, resolve, user_name
from tests.samples import steady

DB = {"MSLOCK_DB": "sqlite:////nowhere/mslock.db"}


@pytest.fixture(autouse=True)
def system_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stands for /etc/mslock.conf; and a home without anything in it."""
    path = tmp_path / "etc-mslock.conf"
    monkeypatch.setattr(settings_module, "SYSTEM_FILE", str(path))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return path


@pytest.fixture
def users_file(tmp_path: Path) -> Path:
    path = tmp_path / "home/.config/mslock/mslock.conf"
    path.parent.mkdir(parents=True)
    return path


def of(environ: dict[str, str] | None = None, **given_: str) -> Settings:
    return resolve({"name": "x"} | given_, ["true"], DB | (environ or {}))


def error_of(environ: dict[str, str] | None = None, **given_: str) -> MslockError:
    with pytest.raises(MslockError) as raised:
        of(environ, **given_)
    return raised.value


# who is heard first


def test_the_defaults_are_those_of_the_table() -> None:
    asked = of()
    assert (asked.cooldown_ms, asked.min_interval_ms, asked.wait_ms, asked.timeout_ms) == (10_000, 0, 0, 0)
    assert (asked.kill_after_ms, asked.lease_ms, asked.db_timeout_ms, asked.splay_ms) == (10_000, 300_000, 10_000, 0)
    assert (asked.on_lost, asked.on_orphan, asked.on_db_error, asked.skip_exit_code) == ("stop", "wait", "fail", 75)
    assert (asked.verbose, asked.quiet, asked.shell, asked.argv) == (False, False, "", ["true"])


def test_a_flag_beats_the_environment_beats_the_users_file_beats_the_systems_beats_the_default(
    system_file: Path, users_file: Path
) -> None:
    heard = [of().cooldown_ms]
    system_file.write_text("MSLOCK_COOLDOWN=1\n")
    heard.append(of().cooldown_ms)
    users_file.write_text("MSLOCK_COOLDOWN=2\n")
    heard.append(of().cooldown_ms)
    heard.append(of({"MSLOCK_COOLDOWN": "3"}).cooldown_ms)
    heard.append(of({"MSLOCK_COOLDOWN": "3"}, cooldown="4").cooldown_ms)
    assert heard == [10_000, 1000, 2000, 3000, 4000]


def test_each_file_is_heard_for_what_it_says(system_file: Path, users_file: Path) -> None:
    system_file.write_text("MSLOCK_COOLDOWN=1\nMSLOCK_WAIT=1\n")
    users_file.write_text("MSLOCK_COOLDOWN=2\n")
    assert (of().cooldown_ms, of().wait_ms) == (2000, 1000)


def test_mslock_conf_names_one_file_instead_of_both(system_file: Path, users_file: Path, tmp_path: Path) -> None:
    system_file.write_text("MSLOCK_COOLDOWN=1\n")
    users_file.write_text("nonsense\n")
    other = tmp_path / "other.conf"
    other.write_text("MSLOCK_WAIT=9\n")
    asked = of({"MSLOCK_CONF": str(other)})
    assert (asked.cooldown_ms, asked.wait_ms) == (10_000, 9000)


def test_an_empty_variable_is_unset(system_file: Path, users_file: Path) -> None:
    system_file.write_text("MSLOCK_COOLDOWN=1\n")
    users_file.write_text("MSLOCK_COOLDOWN=\nMSLOCK_WAIT=''\n")
    assert of({"MSLOCK_COOLDOWN": "", "MSLOCK_CONF": ""}).cooldown_ms == 1000


@pytest.mark.parametrize("option", [option for option in OPTIONS if option.variable], ids=lambda option: option.key)
def test_every_option_with_a_variable_can_be_set_by_it_and_by_a_file(option: Option, system_file: Path) -> None:
    text, value = {
        "duration": ("77", 77_000),
        "choice": (option.choices[-1:] or ("",)) * 2,
        "exit code": ("77", 77),
        "text": ("sqlite:////else/where.db",) * 2,
    }[option.kind]
    attribute = option.key + ("_ms" if option.kind == "duration" else "")
    if option.kind == "choice":
        text = value = option.choices[-1]
    assert getattr(of({"MSLOCK_LEASE": "1h", option.variable: str(text)}), attribute) == value
    system_file.write_text(f"MSLOCK_LEASE=1h\n{option.variable}={text}\n")
    assert getattr(resolve({"name": "x"}, ["true"], {} if option.key == "db" else DB), attribute) == value


def test_what_a_job_is_told_is_no_setting() -> None:
    told = {"MSLOCK_RUN_NAME": "y", "MSLOCK_RUN_ID": "z", "MSLOCK_RUN_FENCE": "1", "MSLOCK_NAME": "w"}
    assert of(told).name == "x"


# files


def test_a_file_holds_settings_comments_and_blank_lines(system_file: Path) -> None:
    system_file.write_text(
        "# a comment\n\n  \n MSLOCK_COOLDOWN = 7s \r\n\t# MSLOCK_WAIT=1\nMSLOCK_SPLAY='8'\nMSLOCK_WAIT=\"9\""
    )
    asked = of()
    assert (asked.cooldown_ms, asked.splay_ms, asked.wait_ms) == (7000, 8000, 9000)


def test_a_value_may_hold_an_equals_sign_a_hash_and_quotes(system_file: Path) -> None:
    system_file.write_text("MSLOCK_DB=mysql://u:p=#'@h/db?a=b\n")
    assert resolve({"name": "x"}, ["true"], {}).db == "mysql://u:p=#'@h/db?a=b"


def test_bytes_that_are_no_text_can_stand_in_a_file(system_file: Path) -> None:
    system_file.write_bytes(b"# caf\xe9\nMSLOCK_DB=sqlite:////caf\xe9.db\n")
    assert os.fsencode(resolve({"name": "x"}, ["true"], {}).db) == b"sqlite:////caf\xe9.db"


@pytest.mark.parametrize(
    "line", ["MSLOCK_NAME=x", "MSLOCK_COLDOWN=1", "cooldown=1", "MSLOCK_VERBOSE=1", "MSLOCK_CONF=x"]
)
def test_an_unknown_key_in_a_file_is_an_error_that_names_the_line(system_file: Path, line: str) -> None:
    system_file.write_text(f"\n{line}\n")
    error = error_of()
    assert type(error) is ConfigError
    assert str(error) == f"{system_file}:2: {line.partition('=')[0]}: unknown key"


def test_a_line_without_an_equals_sign_is_an_error_that_names_the_line(users_file: Path) -> None:
    users_file.write_text("MSLOCK_COOLDOWN\n")
    error = error_of()
    assert type(error) is ConfigError
    assert str(error) == f"{users_file}:1: MSLOCK_COOLDOWN: not KEY=VALUE"


@pytest.mark.parametrize(
    "line",
    [
        "MSLOCK_DB postgresql://u:secret@h/db",
        "MSLOCK_DB: postgresql://u:secret@h/db?sslmode=require",
        "postgresql://u:secret@h/db",
        "MSLOCK_DB:postgresql://u:secret@h/db?sslmode=require",
    ],
)
def test_a_password_in_a_bad_line_is_not_shown(system_file: Path, line: str) -> None:
    system_file.write_text(line)
    error = error_of()
    assert type(error) is ConfigError
    assert "secret" not in str(error)
    assert f"{system_file}:1" in str(error)


def test_a_file_that_mslock_conf_names_must_be_there(tmp_path: Path) -> None:
    error = error_of({"MSLOCK_CONF": str(tmp_path / "none")})
    assert type(error) is ConfigError
    assert str(error) == f"MSLOCK_CONF: {tmp_path / 'none'}: No such file or directory"


def test_a_file_that_cannot_be_read_is_an_error_and_not_as_if_it_were_not_there(system_file: Path) -> None:
    system_file.mkdir()
    error = error_of()
    assert type(error) is ConfigError
    assert str(system_file) in str(error)


# bad words


@pytest.mark.parametrize(
    ("key", "text"),
    [
        *((option.key, text) for option in OPTIONS if option.kind == "duration" for text in ("junk", "-1", "1.5")),
        *((option.key, text) for option in OPTIONS if option.kind == "choice" for text in ("junk", "STOP", "stop ")),
        *(("skip_exit_code", text) for text in ("256", "-1", "x", "1000", "²", "1.0", "٣")),
        ("db_timeout", "0"),
    ],
)
def test_a_bad_value_names_itself_and_where_it_stood(key: str, text: str, system_file: Path) -> None:
    flag, variable = "--" + key.replace("_", "-"), "MSLOCK_" + key.upper()

    error = error_of(None, **{key: text})
    assert type(error) is UsageError
    assert str(error).startswith(f"{flag}: {text!r} is ")

    error = error_of({variable: text})
    assert type(error) is UsageError
    assert str(error).startswith(f"{variable}: {text!r} is ")

    system_file.write_text(f"#\n#\n{variable}='{text}'\n")
    error = error_of()
    assert type(error) is ConfigError
    assert str(error).startswith(f"{system_file}:3: {variable}: {text!r} is ")


def test_a_bad_value_that_is_overruled_harms_nobody() -> None:
    assert of({"MSLOCK_COOLDOWN": "junk"}, cooldown="1").cooldown_ms == 1000


@pytest.mark.parametrize("text", ["0", "007", "255"])
def test_exit_codes(text: str) -> None:
    assert of(skip_exit_code=text).skip_exit_code == int(text)


def test_verbose_and_quiet_exclude_each_other() -> None:
    assert type(error_of(verbose="1", quiet="1")) is UsageError
    assert of(verbose="1").verbose
    assert of(quiet="1").quiet


@pytest.mark.parametrize(
    ("kill_after", "lease", "fits"),
    [("10s", "35s", True), ("10s", "34s", False), ("0", "5s", True), ("0", "4", False), ("1h", "3h5s", True)],
)
def test_a_lease_leaves_room_to_stop_a_job(kill_after: str, lease: str, fits: bool) -> None:
    if fits:
        assert of(kill_after=kill_after, lease=lease).lease_ms
        return
    error = error_of(kill_after=kill_after, lease=lease)
    assert type(error) is UsageError
    assert str(error).startswith("--lease: ")


def test_a_grace_too_long_for_the_default_lease_names_the_grace() -> None:
    error = error_of({"MSLOCK_KILL_AFTER": "5m"})
    assert str(error).startswith("MSLOCK_KILL_AFTER: ")
    assert "905s" in str(error)


@pytest.mark.parametrize("name", ["", "a b", "a" * 201, "ä", "a\n", "a\0", "\udcff", "a*"])
def test_a_bad_name_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="bad name"):
        check_name(name)
    with pytest.raises(UsageError):
        resolve({"name": name}, ["true"], DB)


@pytest.mark.parametrize("name", ["a", "a" * 200, "A-Za-z0-9._:@/+-", "-", "/"])
def test_a_good_name_is_taken_as_it_is(name: str) -> None:
    assert check_name(name) == name


def test_a_line_needs_a_command_and_a_lock() -> None:
    with pytest.raises(UsageError, match="no COMMAND"):
        resolve({"name": "x"}, [], DB)
    with pytest.raises(UsageError, match="no lock"):
        resolve({}, ["true"], DB)


# the shell


def test_a_line_is_run_by_the_shell_and_never_by_the_users() -> None:
    asked = resolve({"shell": "a && b"}, [], DB | {"SHELL": "/bin/zsh"})
    assert (asked.shell, asked.argv) == ("/bin/sh", ["/bin/sh", "-c", "a && b"])


def test_mslock_shell_names_another_shell(system_file: Path) -> None:
    assert resolve({"shell": "a"}, [], DB | {"MSLOCK_SHELL": "/bin/bash"}).argv[0] == "/bin/bash"
    system_file.write_text("MSLOCK_SHELL=/bin/dash\n")
    assert resolve({"shell": "a"}, [], DB).shell == "/bin/dash"
    assert of().shell == ""


@pytest.mark.parametrize("line", ["", " ", "\t\n"])
def test_an_empty_line_is_refused(line: str) -> None:
    with pytest.raises(UsageError, match="empty"):
        resolve({"shell": line}, [], DB)


def test_a_line_takes_no_words_behind_it() -> None:
    with pytest.raises(UsageError, match="'b'"):
        resolve({"shell": "a"}, ["b"], DB)


def test_a_given_name_beats_the_derived_one() -> None:
    assert resolve({"shell": "a", "name": "y"}, [], DB).name == "y"
    assert resolve({"shell": "a"}, [], DB | {"LOGNAME": "u"}).name == derived_name("a", "u")


# derived names


@pytest.mark.parametrize(
    ("line", "stem"),
    [
        ("/opt/report.sh --all", "root:report.sh"),
        ("report", "root:report"),
        ("A=1 B_2=x /opt/report.sh", "root:report.sh"),
        ("A= report", "root:report"),
        ("=x report", "root:-x"),
        ("a-b=c report", "root:a-b-c"),
        ("  report  ", "root:report"),
        ("./a*b;c", "root:a-b-c"),
        ("A=1", "root:"),
        ("dir/", "root:"),
    ],
)
def test_the_word_in_a_derived_name(line: str, stem: str) -> None:
    name = derived_name(line, "root")
    assert name[:-13] == stem
    assert name[-13] == "-"
    assert set(name[-12:]) <= set("0123456789abcdef")


def test_a_derived_name_is_cut_to_fit_and_keeps_its_hash() -> None:
    name = derived_name("w" * 300, "u" * 100)
    assert name[:-13] == "u" * 100 + ":" + "w" * 86
    assert len(name) == 200
    assert name[-12:] == derived_name("w" * 300, "u")[-12:]


def test_a_derived_name_never_changes_between_releases() -> None:
    assert derived_name("/opt/report.sh --all", "root") == "root:report.sh-fabe070a5c1b"


def test_the_user_and_the_whole_line_make_the_lock() -> None:
    names = {derived_name(line, user) for line in ("a", "a b", "a c", "b") for user in ("u", "v")}
    assert len(names) == 8


letters = st.characters(max_codepoint=0xD7FF) | st.characters(min_codepoint=0xE000)
lines = st.text(letters, min_size=1).filter(lambda text: text.strip())
odd_lines = lines | st.binary(min_size=1).map(os.fsdecode)


@steady
@given(odd_lines, st.text(letters, max_size=300))
def test_every_derived_name_can_be_a_name(line: str, user: str) -> None:
    assert check_name(derived_name(line, user)) == derived_name(line, user)


@steady
@given(odd_lines, st.text(letters), st.sampled_from((" ", "   ", "\t")))
def test_the_settings_comment_does_not_change_the_lock(line: str, comment: str, space: str) -> None:
    assume("# mslock:" not in line and "# mslock:" not in comment and not set("'\"`\n") & set(comment))
    assume(line.strip())
    assert derived_name(line, "u") == derived_name(f"{line}{space}# mslock: {comment}", "u")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("echo '# mslock: a' && job one", "echo '# mslock: a' && job two"),
        ("job # mslock: a\none", "job # mslock: a\ntwo"),
        ("job x# mslock: a", "job x# mslock: b"),
    ],
)
def test_what_the_shell_takes_for_no_comment_is_a_part_of_the_line(one: str, other: str) -> None:
    assert derived_name(one, "u") != derived_name(other, "u")


def test_each_byte_outside_the_alphabet_becomes_a_dash_whatever_the_locale() -> None:
    """A crontab's locale is C, a shell's is not; the lock must be the same."""
    name = derived_name("/opt/caf\xe9", "root")
    assert name[:-13] == "root:caf--"
    assert derived_name(os.fsdecode("/opt/caf\xe9".encode("latin-1")), "root")[:-13] == "root:caf-"


# the user


def test_the_user_is_who_cron_says(monkeypatch: pytest.MonkeyPatch) -> None:
    import pwd

    assert user_name({"LOGNAME": "a", "USER": "b"}) == "a"
    assert user_name({"USER": "b", "LOGNAME": ""}) == "b"
    assert user_name({}) == pwd.getpwuid(os.geteuid()).pw_name

    def nobody(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    assert user_name({}) == str(os.geteuid())


# the database


def test_a_database_can_be_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "url"
    path.write_text(" sqlite:////else/where.db\n\n")
    assert of(db=f"file:{path}").db == "sqlite:////else/where.db"
    assert database(f"file:{path}", {}) == "sqlite:////else/where.db"
    assert database(None, {"MSLOCK_DB": f"file:{path}"}) == "sqlite:////else/where.db"


@pytest.mark.parametrize("content", [None, "", "\n", "a\nb\n"])
def test_a_bad_database_file_is_an_error_that_names_it(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "url"
    if content is not None:
        path.write_text(content)
    for origin, (environ, given_) in {
        "--db": ({}, f"file:{path}"),
        "MSLOCK_DB": ({"MSLOCK_DB": f"file:{path}"}, None),
    }.items():
        with pytest.raises(ConfigError) as raised:
            database(given_, environ)
        assert str(raised.value).startswith(f"{origin}: {path}: ")


def test_a_database_on_the_line_beats_the_environment() -> None:
    assert database("sqlite:////a", DB) == "sqlite:////a"
    assert database(None, DB) == DB["MSLOCK_DB"]


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """The folders that would have been made, with their modes; none is."""
    made: list[tuple[str, int]] = []

    def makedirs(path: str, mode: int = 0o777, exist_ok: bool = False) -> None:
        assert exist_ok
        made.append((path, mode))

    monkeypatch.setattr(os, "makedirs", makedirs)
    monkeypatch.setattr(os.path, "isdir", lambda _: False)
    return made


def test_roots_database_is_the_machines(made: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert database(None, {"XDG_STATE_HOME": "/else"}) == "sqlite:////var/lib/mslock/mslock.db"
    assert made == [("/var/lib/mslock", 0o700)]


def test_others_have_a_database_of_their_own(
    made: list[tuple[str, int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    home = f"{tmp_path}/home/.local/state/mslock"
    assert database(None, {"XDG_STATE_HOME": "/else"}) == "sqlite:////else/mslock/mslock.db"
    assert database(None, {"XDG_STATE_HOME": "relative"}) == f"sqlite:///{home}/mslock.db"
    assert database(None, {}) == f"sqlite:///{home}/mslock.db"
    assert made == [("/else/mslock", 0o700), (home, 0o700), (home, 0o700)]


def test_the_folder_of_a_database_is_for_its_user_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    for _ in range(2):
        assert database(None, {"XDG_STATE_HOME": str(tmp_path)}) == f"sqlite:///{tmp_path}/mslock/mslock.db"
    assert stat.S_IMODE((tmp_path / "mslock").stat().st_mode) == 0o700


def test_no_folder_is_made_where_a_database_is_set(made: list[tuple[str, int]]) -> None:
    assert of().db == DB["MSLOCK_DB"]
    assert made == []


def test_a_folder_that_cannot_be_made_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="set MSLOCK_DB"):
        database(None, {"XDG_STATE_HOME": str(tmp_path / "file")})
