"""Typed readers of environment variables. Only the modules of settings call them.

Each raises ImproperlyConfigured with a message that names the variable and says what it accepts.
"""

import contextlib
import ipaddress
import os
import re
import tempfile
from collections.abc import Callable, Collection
from pathlib import Path

import environ
from django.core.exceptions import ImproperlyConfigured

TRUE_WORDS = frozenset({"1", "true", "yes", "on"})
FALSE_WORDS = frozenset({"0", "false", "no", "off"})


#: What every database stores in a column of whole numbers, and every clock can add.
LARGEST = 2**53


def read_file(path: Path) -> None:
    """Take the variables in a file of lines NAME=VALUE; those that are set already stay as they are."""
    if not path.is_file():
        return
    try:
        environ.Env.read_env(path)
    except UnicodeDecodeError:  # it quotes the bytes
        raise ImproperlyConfigured(f"{path} holds no text in UTF-8") from None


def text(name: str, default: str = "", *, choices: Collection[str] = ()) -> str:
    """Return the variable, or the default when it is unset or empty."""
    value = os.environ.get(name, "").strip() or default
    if choices and value not in choices:
        raise ImproperlyConfigured(f"{name} must be one of {', '.join(sorted(choices))}; it is {value!r}")
    return value


def boolean(name: str, default: bool = False) -> bool:
    value = os.environ.get(name, "").strip().lower()
    if not value:
        return default
    if value in TRUE_WORDS or value in FALSE_WORDS:
        return value in TRUE_WORDS
    raise ImproperlyConfigured(f"{name} must be true or false; it is {value!r}")


def integer(name: str, default: int, *, minimum: int = 0, maximum: int = LARGEST) -> int:
    value = os.environ.get(name, "").strip()
    if not value:
        return default
    try:
        number = int(value)
    except ValueError:
        raise ImproperlyConfigured(f"{name} must be a whole number; it is {value!r}") from None
    if not minimum <= number <= maximum:
        bound = f"at least {minimum}" if number < minimum else f"at most {maximum}"
        raise ImproperlyConfigured(f"{name} must be {bound}; it is {number}")
    return number


def host_names(name: str, default: str = "") -> list[str]:
    """Return a list of names without scheme, port and path: `a.example, .b.example, [::1]`."""
    return _matching(
        name,
        _split(text(name, default)),
        r"\*|\.?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*|\[[0-9A-Fa-f:.]+\]",
        "names of hosts without scheme, port and path, such as files.example.com",
    )


def origins(name: str) -> list[str]:
    """Return a list of origins as browsers send them: `https://a.example, https://*.b.example:8443`."""
    return _matching(
        name,
        _split(text(name)),
        r"https?://(\*\.)?([A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*|\[[0-9A-Fa-f:.]+\])(:[0-9]+)?",
        "origins without path and final slash, such as https://files.example.com",
    )


def _matching(name: str, words: list[str], pattern: str, meaning: str) -> list[str]:
    for word in words:
        if not re.fullmatch(pattern, word):
            raise ImproperlyConfigured(f"{name} must have {meaning}; it has {word!r}")
    return words


def url_path(name: str, default: str, *, taken: Collection[str]) -> str:
    """Return a path without slashes around it, which is none of ours.

    taken: first words of paths that something else answers.
    """
    value = text(name, default).strip("/")
    if not re.fullmatch(r"[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*", value):
        raise ImproperlyConfigured(
            f"{name} must be a path of letters, digits, - and _, such as {default}; it is {value!r}"
        )
    if value.partition("/")[0] in taken:
        raise ImproperlyConfigured(
            f"{name} must not begin with {', '.join(sorted(taken))}: {value!r} would hide what is there"
        )
    return value


def switch_or_networks(name: str) -> bool | tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    """Return a switch, which is off by default, or the networks in a list: `10.0.0.0/8, fd00::/8`."""
    value = os.environ.get(name, "").strip()
    if value.lower() in TRUE_WORDS | FALSE_WORDS | {""}:
        return value.lower() in TRUE_WORDS
    try:
        return tuple(ipaddress.ip_network(word) for word in _split(value))
    except ValueError as error:
        raise ImproperlyConfigured(
            f"{name} must be true, false or a list of networks such as 10.0.0.0/8: {error}"
        ) from None


def header_name(name: str, default: str) -> str:
    """Return the name of a header that has one spelling only.

    `X_Client` would reach us as `X-Client` does: web servers fold both into one variable.
    """
    value = text(name, default)
    if not re.fullmatch("[A-Za-z0-9]+", value):
        raise ImproperlyConfigured(
            f"{name} must have letters and digits only, such as Forwarded or ClientAddress: a client could "
            f"imitate a hyphen by an underscore. It is {value!r}; let the proxy send a header of such a name."
        )
    return value


def secret(name: str, *, least: int = 0) -> str:
    """Return NAME, or the content of the file that NAME_FILE names; empty when neither is set.

    least: how many characters it has to have, where it stands between a stranger and the gateway.
    """
    value = _secret(name)
    _check_length(name, value, least)
    return value


def _secret(name: str) -> str:
    path = os.environ.get(f"{name}_FILE", "").strip()
    value = os.environ.get(name, "").strip()
    if not path:
        return value
    if value:
        raise ImproperlyConfigured(f"{name} and {name}_FILE are both set: keep one of them")
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ImproperlyConfigured(f"{name}_FILE: cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError:  # it quotes the bytes
        raise ImproperlyConfigured(f"{name}_FILE: {path} holds no text in UTF-8") from None


def secret_words(name: str, *, least: int = 0) -> list[str]:
    """Return a list of secrets, written with commas or one a line.

    least: how many characters the first has to have. Those behind it are kept for what they protect already.
    """
    found = _split(_secret(name).replace("\n", ","))
    _check_length(name, found[0] if found else "", least)
    return found


def _check_length(name: str, value: str, least: int) -> None:
    if value and len(value) < least:
        raise ImproperlyConfigured(
            f"{name} must have at least {least} characters; it has {len(value)}. "
            "Make one: openssl rand -hex 32"
        )


def directory(name: str, default: Path) -> Path:
    """Return the path in the variable, created when missing and checked to be writable."""
    path = Path(text(name, str(default))).expanduser().absolute()
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            return path
    except OSError as error:
        raise ImproperlyConfigured(
            f"{name}: cannot write to {path}: {error.strerror}. "
            f"Set {name} to a directory that this user can write to."
        ) from error


def generated_secret(path: Path, generate: Callable[[], str]) -> str:
    """Return the secret kept in the file, written on first use with mode 0600.

    Several processes may start at once: the link succeeds for one of them, and all read what that one wrote.
    """
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, encoding="utf-8") as draft:
            draft.write(generate())
            draft.flush()
            os.fsync(draft.fileno())
            with contextlib.suppress(FileExistsError):
                os.link(draft.name, path)
    return path.read_text(encoding="utf-8").strip()


def retired(*names: str) -> list[str]:
    """Return those variables that are set although nothing reads them any more."""
    return [name for name in names if os.environ.get(name, "").strip()]


def _split(value: str) -> list[str]:
    return [word.strip() for word in value.split(",") if word.strip()]
