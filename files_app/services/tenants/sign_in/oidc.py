"""OpenID Connect: the way to a company's provider and back, by Authlib.

Authorization code with PKCE (S256), state and nonce. An ID token counts when a key of the issuer's signed it
with an asymmetric algorithm, and issuer, audience, nonce and times are right. The provider's description and
keys are kept for an hour; a token that names an unknown key has the keys fetched once more.
"""

from __future__ import annotations

import hmac
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import requests
import structlog
from django.conf import settings

from files_app.exceptions import InvalidRequestError, NotAllowedError, TemporaryError
from files_app.services.index.transactions import release_connection
from files_app.services.tenants.sign_in import tickets
from files_app.services.tenants.sign_in.claims import has_roles
from providers.exceptions import ProviderError

if TYPE_CHECKING:
    from files_app.services.tenants.sign_in.oidc_client import Client

log = structlog.get_logger("sign_in")

_PURPOSE = "oidc"
STATE_SECONDS = 600
_KEPT_SECONDS = 3_600.0
_LEEWAY_SECONDS = 60
_LONGEST_PARAMETER = 4_096

#: Threads of a process that may wait for the provider at once: while it hangs, the others serve files.
_places = threading.BoundedSemaphore(4)
_kept: tuple[tuple[str, ...], float, Client] | None = None

_AGAIN = "Go back to the sign-in page and start again."


def begin(redirect_uri: str, *, next_url: str) -> tuple[str, str]:
    """Return where the provider asks the person, and the ticket that brings the person back.

    Raises TemporaryError when the provider cannot be reached.
    """
    with _asking():
        made = _client().create_authorization_url(redirect_uri)
    data = {name: made[name] for name in ("state", "nonce", "code_verifier")}
    ticket = tickets.issue(
        _PURPOSE, {**data, "redirect_uri": redirect_uri, "next": next_url}, seconds=STATE_SECONDS
    )
    return str(made["url"]), ticket


def finish(ticket: str, answer: Mapping[str, str]) -> tuple[dict[str, Any], str]:
    """Return the verified claims of who came back, and where the person wanted to go.

    answer: the parameters that the provider sent along. Raises InvalidRequestError for what nobody began
    here, NotAllowedError for what the provider refused or what cannot be believed, TemporaryError.
    """
    begun = tickets.redeem(_PURPOSE, ticket)
    state, code = answer.get("state", ""), answer.get("code", "")
    if begun is None or not hmac.compare_digest(begun["state"].encode(), state.encode()):
        raise InvalidRequestError(
            f"This sign-in was not begun here, is older than ten minutes, or is over. {_AGAIN}"
        )
    # RFC 9207: a code of one provider must not be taken to another.
    if answer.get("iss", settings.OIDC_ISSUER) != settings.OIDC_ISSUER:
        raise NotAllowedError(f"The answer came from another provider than {settings.OIDC_NAME}. {_AGAIN}")
    if error := answer.get("error"):
        raise _refused(f"{settings.OIDC_NAME} did not sign you in. {_AGAIN}", error)
    if not 0 < len(code) <= _LONGEST_PARAMETER:
        raise InvalidRequestError(f"The answer of {settings.OIDC_NAME} has no code. {_AGAIN}")
    with _asking():
        return _claims(_client(), code, begun), begun["next"]


def _claims(client: Client, code: str, begun: Mapping[str, str]) -> dict[str, Any]:
    token = client.fetch_access_token(
        code=code, code_verifier=begun["code_verifier"], redirect_uri=begun["redirect_uri"]
    )
    claims = client.parse_id_token(
        token, nonce=begun["nonce"], claims_options=client.expected(), leeway=_LEEWAY_SECONDS
    )
    if claims is None:
        raise _refused(f"{settings.OIDC_NAME} sent no ID token. {_AGAIN}", "no_id_token")
    found = dict(claims)
    if not has_roles(found) and client.has_userinfo:  # some tell groups there alone
        more = client.userinfo(token=token)
        if more.get("sub") != found.get("sub"):
            raise _refused(f"{settings.OIDC_NAME} told of two people at once. {_AGAIN}", "userinfo_sub")
        found = {**more, **found}
    return found


@contextmanager
def _asking() -> Iterator[None]:
    """Hold a place and no database connection while the provider is asked, and put what fails into words."""
    # Here: who signs in with passwords alone does without both.
    from authlib.common.errors import AuthlibBaseError
    from joserfc.errors import JoseError

    release_connection()
    if not _places.acquire(blocking=False):
        raise TemporaryError("Too many people sign in at this moment. Try again in some seconds.")
    try:
        yield
    except (requests.RequestException, ProviderError) as exc:
        log.warning("oidc_unreachable", issuer=settings.OIDC_ISSUER, reason=str(exc)[:200])
        raise TemporaryError(
            f"{settings.OIDC_NAME} does not answer as it should at this moment. Try again in some minutes."
        ) from exc
    except JoseError as exc:
        raise _refused(
            f"What {settings.OIDC_NAME} says of you cannot be verified, so nobody was signed in. {_AGAIN}",
            exc.error,
        ) from exc
    except AuthlibBaseError as exc:
        raise _refused(f"{settings.OIDC_NAME} did not sign you in. {_AGAIN}", str(exc.error or "")) from exc
    except (
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        RuntimeError,
    ) as exc:  # what is no OpenID Connect
        log.warning("oidc_unreadable", issuer=settings.OIDC_ISSUER, reason=type(exc).__name__)
        raise TemporaryError(
            f"{settings.OIDC_NAME} does not answer as it should at this moment. Try again in some minutes."
        ) from exc
    finally:
        _places.release()


def _refused(message: str, reason: str) -> NotAllowedError:
    log.warning("oidc_refused", issuer=settings.OIDC_ISSUER, reason=reason[:64])
    return NotAllowedError(message)


def _client() -> Client:
    """Return the client, which is made and described anew every hour."""
    from files_app.services.tenants.sign_in.oidc_client import Client

    global _kept
    wanted = (
        settings.OIDC_ISSUER,
        settings.OIDC_CLIENT_ID,
        settings.OIDC_CLIENT_SECRET,
        settings.OIDC_SCOPES,
    )
    kept, now = _kept, time.monotonic()
    if kept is None or kept[0] != wanted or kept[1] < now:
        kept = _kept = (wanted, now + _KEPT_SECONDS, Client())
    return kept[2]


def forget_provider() -> None:
    """Ask the provider anew what it is and which keys it has."""
    global _kept
    _kept = None
