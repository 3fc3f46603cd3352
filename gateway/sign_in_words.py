"""Readers of the variables about signing in. Each raises ImproperlyConfigured and names the variable."""

from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

#: Who may be meant, the mightiest first. All but the first are Django groups.
ROLES = ("superuser", "owner", "operator", "read-only")
EVERYONE = "everyone"
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def issuer_url(name: str, value: str) -> str:
    """Return the issuer as its tokens name it, empty for none. Plain http is for this host alone."""
    if not value:
        return ""
    try:
        parts = urlsplit(value)
        is_usable = bool(parts.hostname) and parts.port != 0 and not (parts.query or parts.fragment)
        is_usable = is_usable and "@" not in parts.netloc
        is_closed = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
    except ValueError:
        is_usable = is_closed = False
    if not (is_usable and is_closed):
        raise ImproperlyConfigured(
            f"{name} must be an https:// URL without query, exactly as the provider's tokens name it in "
            "`iss`, such as https://login.example.com/realms/staff."
        )
    return value


def claim_table(name: str, value: str) -> dict[str, str]:
    """Return value of a claim -> what it means here, of `finance-admins=acme, platform=*`."""
    table: dict[str, str] = {}
    for word in filter(None, (word.strip() for word in value.split(","))):
        claimed, equals, meaning = (part.strip() for part in word.rpartition("="))
        if not (equals and claimed and meaning) or claimed in table:
            raise ImproperlyConfigured(
                f"{name} must be a list of VALUE=NAME with commas between them, each value once; it has "
                f"{word!r}."
            )
        table[claimed] = meaning
    return table


def role_table(name: str, value: str) -> dict[str, str]:
    """Return value of a claim -> role, of `files-admins=superuser, files-team=operator`."""
    table = claim_table(name, value)
    for role in table.values():
        _check_role(name, role, ROLES)
    return table


def role_names(name: str, value: str) -> frozenset[str]:
    """Return the roles in a list; `everyone` means all of them and who has none."""
    roles = frozenset(filter(None, (word.strip() for word in value.split(","))))
    for role in roles:
        _check_role(name, role, (*ROLES, EVERYONE))
    return roles


def _check_role(name: str, role: str, known: tuple[str, ...]) -> None:
    if role not in known:
        raise ImproperlyConfigured(f"{name} knows the roles {', '.join(known)}; it has {role!r}.")
