"""Completions for bash, zsh and fish, from the option table, the commands and one template a shell.

Why: click has completions of its own, but they start Python for every press of a key, cannot complete the job behind
an option line, and differ from one click to the next. These ask mslock for nothing but the names of locks. `make
generate` writes them beside this file, and tests/test_generated.py finds drift.

Sources: bash-completion's `sudo`, zsh's `_sudo`, fish's `sudo.fish`, for how a job's own completion is found.
"""

from __future__ import annotations

import pathlib

import click

from mslock.commands import cli
from mslock.options import OPTIONS, Option

_HERE = pathlib.Path(__file__).parent
#: Which template makes which file.
FILES = {"template.bash": "mslock.bash", "template.zsh": "_mslock", "template.fish": "mslock.fish"}


def generate() -> dict[str, str]:
    """The text of each completion, by the name of its file."""
    makers = {"template.bash": _bash, "template.zsh": _zsh, "template.fish": _fish}
    return {FILES[name]: _fill((_HERE / name).read_text(), make()) for name, make in makers.items()}


def _fill(template: str, values: dict[str, str]) -> str:
    for key, value in values.items():
        template = template.replace(f"@{key}@", value)
    return template


def _bash() -> dict[str, str]:
    choices, commands = [], []
    for option in OPTIONS:
        if option.choices:
            words = " ".join(option.choices)
            choices.append(f'{"|".join(option.flags)}) COMPREPLY=($(compgen -W "{words}" -- "$cur")) ;;')
    for name, command in _commands():
        flags = " ".join(flag for option in _options(command) for flag in option.opts)
        names = " names=1" if _takes_names(command) else ""
        commands.append(f'{name}) options="{flags}"{names} ;;')
    return {
        "NAME_FLAGS": _flags("|", "name"),
        "SHELL_FLAGS": _flags("|", "shell"),
        "DB_FLAGS": _flags("|", "db"),
        "VALUE_FLAGS": "|".join(flag for option in OPTIONS if option.takes_value for flag in option.flags),
        "ALL_FLAGS": " ".join([flag for option in OPTIONS for flag in option.flags] + _own_flags()),
        "COMMAND_NAMES": " ".join(name for name, _ in _commands()),
        "CHOICES": _lines(8, choices),
        "COMMANDS": _lines(8, commands),
    }


def _zsh() -> dict[str, str]:
    options = [_zsh_option(option) for option in OPTIONS]
    options += [f"'(- :)'{flag}{_zsh_quoted('[' + _zsh_escaped(_summary(cli, flag)) + ']')}" for flag in _own_flags()]
    names, commands = [], []
    for name, command in _commands():
        names.append(_zsh_quoted(f"{name}:{_zsh_escaped(_first_sentence(command.help))}"))
        specs = [_zsh_command_option(command, option) for option in _options(command)]
        if _takes_names(command):
            specs.append("'*:lock:_mslock_names'")
        commands += [f"{name})", "    command_options=(", *("        " + spec for spec in specs), "    )", "    ;;"]
    return {
        "OPTIONS": _lines(8, options),
        "COMMAND_NAMES": _lines(8, names),
        "COMMANDS": _lines(12, commands),
    }


def _fish() -> dict[str, str]:
    options, commands = [], []
    for option in OPTIONS:
        words = ["complete -c mslock -n __mslock_at_option", _fish_flags(option.flags)]
        if option.takes_value:
            words.append("-x" + (f" -a {_fish_quoted(_fish_values(option))}" if _fish_values(option) else ""))
        options.append(" ".join([*words, "-d", _fish_quoted(_first_sentence(option.help))]))
    for flag in _own_flags():
        summary = _fish_quoted(_summary(cli, flag))
        options.append(f"complete -c mslock -n __mslock_at_option {_fish_flags((flag,))} -d {summary}")
    for name, command in _commands():
        summary = _fish_quoted(_first_sentence(command.help))
        commands.append(f"complete -c mslock -n __mslock_at_first_word -a {name} -d {summary}")
        here = f"complete -c mslock -n '__mslock_in_command {name}'"
        if _takes_names(command):
            commands.append(f"{here} -a '(__mslock_names)'")
        for parameter in _options(command):
            value = "" if parameter.is_flag else " -x"
            summary = _fish_quoted(_summary(command, parameter.opts[0]))
            commands.append(f"{here} {_fish_flags(tuple(parameter.opts))}{value} -d {summary}")
    return {
        "NAME_FLAGS": _flags(" ", "name"),
        "SHELL_FLAGS": _flags(" ", "shell"),
        "VALUE_FLAGS": " ".join(flag for option in OPTIONS if option.takes_value for flag in option.flags),
        "OPTIONS": "\n".join(options),
        "COMMANDS": "\n".join(commands),
    }


def _zsh_option(option: Option) -> str:
    text = _zsh_quoted(f"[{_zsh_escaped(_first_sentence(option.help))}]{_zsh_value(option)}")
    if len(option.flags) == 1:
        return f"{_zsh_flag(option.flags[0], option.takes_value)}{text}"
    flags = ",".join(_zsh_flag(flag, option.takes_value) for flag in option.flags)
    return f"'({' '.join(option.flags)})'{{{flags}}}{text}"


def _zsh_flag(flag: str, takes_value: bool) -> str:
    """A long option's value may follow a `=` or be the next word."""
    return flag + ("=" if takes_value and flag.startswith("--") else "")


def _zsh_value(option: Option) -> str:
    if not option.takes_value:
        return ""
    if option.choices:
        return f":{option.key}:({' '.join(option.choices)})"
    action = {"name": "_mslock_names", "db": "_mslock_database"}.get(option.key, "")
    return f":{option.metavar}:{action or ' '}"


def _zsh_command_option(command: click.Command, option: click.Option) -> str:
    action = "_mslock_database" if "--db" in option.opts else " "
    value = "" if option.is_flag else f":{option.metavar or option.name}:{action}"
    flags = [_zsh_flag(flag, not option.is_flag) for flag in option.opts]
    text = _zsh_quoted(f"[{_zsh_escaped(_summary(command, option.opts[0]))}]{value}")
    return text[0] + flags[0] + text[1:] if len(flags) == 1 else f"{{{','.join(flags)}}}{text}"


def _zsh_escaped(text: str) -> str:
    return "".join("\\" + char if char in "[]:\\" else char for char in text)


def _zsh_quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _fish_flags(flags: tuple[str, ...]) -> str:
    return " ".join(f"-l {flag[2:]}" if flag.startswith("--") else f"-s {flag[1:]}" for flag in flags)


def _fish_values(option: Option) -> str:
    if option.key == "db":
        return "sqlite:/// file:"
    return "(__mslock_names)" if option.key == "name" else " ".join(option.choices)


def _fish_quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _commands() -> list[tuple[str, click.Command]]:
    return [(name, command) for name, command in cli.commands.items() if not command.hidden]


def _options(command: click.Command) -> list[click.Option]:
    context = click.Context(command)
    parameters = command.get_params(context)
    return [option for option in parameters if isinstance(option, click.Option) and not option.hidden]


def _own_flags() -> list[str]:
    """What may stand before a command beside the options of a run: `--help` and the like."""
    known = {flag for option in OPTIONS for flag in option.flags}
    return [flag for option in _options(cli) for flag in option.opts if flag not in known]


def _takes_names(command: click.Command) -> bool:
    return any(isinstance(parameter, click.Argument) for parameter in command.params)


def _summary(command: click.Command, flag: str) -> str:
    """What a flag of a command does; of --help in our own words, since click's are another release's tomorrow."""
    if flag == "--help":
        return "Show help"
    return next(_first_sentence(option.help) for option in _options(command) if flag in option.opts)


def _first_sentence(text: str | None) -> str:
    """The first sentence, in one line, without its full stop."""
    line = " ".join((text or "").split())
    return line.partition(". ")[0].removesuffix(".")


def _flags(separator: str, key: str) -> str:
    return next(separator.join(option.flags) for option in OPTIONS if option.key == key)


def _lines(indent: int, lines: list[str]) -> str:
    return "\n".join(" " * indent + line for line in lines)


if __name__ == "__main__":
    for name, text in generate().items():
        (_HERE / name).write_text(text)
