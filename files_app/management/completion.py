"""Completion for shells: a script made of what the commands declare, so that TAB starts no Python."""

from __future__ import annotations

from argparse import ArgumentParser, _SubParsersAction
from collections.abc import Iterator
from functools import cache
from shlex import quote

from django.core.management import get_commands, load_command_class

#: Whose commands are completed, and named in the table of docs/operations/commands.md.
_APPS = ("files_app", "gateway")
#: What every Django command takes, and nobody types.
_DJANGO_OPTIONS = frozenset(
    {
        *("--version", "-v", "--verbosity", "--settings", "--pythonpath"),
        *("--traceback", "--no-color", "--force-color", "--skip-checks"),
    }
)
_ZSH = "autoload -Uz compinit bashcompinit\ncompinit\nbashcompinit\n"
_SCRIPT = """\
# Completion of the files gateway's commands, made by `manage.py completion`.
_files_gateway() {{
    local current=${{COMP_WORDS[COMP_CWORD]-}} previous=${{COMP_WORDS[COMP_CWORD-1]-}} words=
    local command=${{COMP_WORDS[1]-}} subcommand=${{COMP_WORDS[2]-}}
    COMPREPLY=()
    if [ "$COMP_CWORD" = 1 ]; then
        words={commands}
    elif [ "$COMP_CWORD" = 2 ]; then
        case $command in
{subcommands}
        esac
    fi
    if [ -z "$words" ]; then
        case "$command $subcommand $previous" in
{choices}
        esac
    fi
    if [ -z "$words" ]; then
        case "$current" in
            -*) case "$command $subcommand" in
{options}
            esac ;;
        esac
    fi
    [ -z "$words" ] || COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
complete -o default -F _files_gateway {program}
"""


def script(shell: str, program: str) -> str:
    """Return what a shell reads to complete `program`; file names follow where nothing of ours fits.

    shell: `bash` or `zsh`.
    """
    text = _SCRIPT.format(
        commands=quote(" ".join(tree())),
        subcommands=_cases("            ", _subcommands()),
        choices=_cases("            ", _choices()),
        options=_cases("                ", _options()),
        program=quote(program),
    )
    return _ZSH + text if shell == "zsh" else text


@cache
def tree() -> dict[str, dict[str, ArgumentParser]]:
    """Return the parsers of the gateway's own commands by command and subcommand; "" where there is none."""
    found = {}
    for name, app in sorted(get_commands().items()):
        if app in _APPS:
            parser = load_command_class(str(app), name).create_parser("manage.py", name)
            found[name] = dict(_subparsers(parser)) or {"": parser}
    return found


def _subparsers(parser: ArgumentParser) -> Iterator[tuple[str, ArgumentParser]]:
    for action in parser._actions:
        if isinstance(action, _SubParsersAction):
            yield from action.choices.items()


def _subcommands() -> Iterator[tuple[str, str]]:
    for command, parsers in tree().items():
        words = " ".join(filter(None, parsers)) or " ".join(_first_argument(parsers[""]))
        if words:
            yield quote(command), words


def _first_argument(parser: ArgumentParser) -> Iterator[str]:
    """Yield what the first argument may be, of a command without subcommands."""
    first = next((action for action in parser._actions if not action.option_strings), None)
    yield from map(str, (first.choices if first else None) or ())


def _options() -> Iterator[tuple[str, str]]:
    for command, parsers in tree().items():
        for subcommand, parser in parsers.items():
            options = {each for action in parser._actions for each in action.option_strings}
            yield _pattern(command, subcommand), " ".join(sorted(options - _DJANGO_OPTIONS))


def _choices() -> Iterator[tuple[str, str]]:
    for command, parsers in tree().items():
        for subcommand, parser in parsers.items():
            for action in parser._actions:
                options = set(action.option_strings) - _DJANGO_OPTIONS
                if options and action.choices and action.nargs is None:
                    words = " ".join(map(str, action.choices))
                    for option in sorted(options):
                        yield f"{_pattern(command, subcommand)}{quote(' ' + option)}", words


def _pattern(command: str, subcommand: str) -> str:
    return quote(f"{command} {subcommand}") if subcommand else f"{quote(command + ' ')}*"


def _cases(indent: str, cases: Iterator[tuple[str, str]]) -> str:
    return "\n".join(f"{indent}{pattern}) words={quote(words)} ;;" for pattern, words in cases)
