"""How connections leave this host: the authorities that they trust, and the proxies that they go through."""

import ssl
from urllib.parse import urlsplit
from urllib.request import getproxies_environment

from django.core.exceptions import ImproperlyConfigured

from gateway.environment import text
from providers.transports.proxies import Proxies

#: Where other software looks for the authorities.
_USUAL_BUNDLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")


def ca_bundle(path: str) -> str | None:
    """Return the file of the authorities to trust, None for the public ones.

    path: what CA_BUNDLE says. Where it is empty, the usual variables count.
    """
    name = "CA_BUNDLE"
    for usual in _USUAL_BUNDLES:
        if not path:
            name, path = usual, text(usual)
    if not path:
        return None
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except ssl.SSLError:
        raise ImproperlyConfigured(f"{name}: {path} holds no certificate in PEM.") from None
    except OSError as error:
        raise ImproperlyConfigured(f"{name}: cannot read {path}: {error.strerror}.") from None
    return path


def provider_proxies(value: str) -> Proxies:
    """Return the proxies that PROVIDER_PROXY means: none, one by its URL, or those of the environment.

    NO_PROXY counts for both.
    """
    if not value:
        return Proxies()
    found = getproxies_environment()
    no_proxy = found.get("no", "")
    if value.lower() != "environment":
        proxy = _proxy("PROVIDER_PROXY", value)
        return Proxies(https=proxy, http=proxy, no_proxy=no_proxy)
    https, http = (found.get(scheme) or found.get("all", "") for scheme in ("https", "http"))
    return Proxies(https=_proxy("HTTPS_PROXY", https), http=_proxy("HTTP_PROXY", http), no_proxy=no_proxy)


def _proxy(name: str, value: str) -> str:
    """Return the URL of a proxy. The error does not show it: it may hold a password."""
    if not value:
        return ""
    url = value if "://" in value else f"http://{value}"
    try:
        parts = urlsplit(url)
        is_usable = parts.scheme == "http" and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_usable = False
    if not is_usable:
        raise ImproperlyConfigured(
            f"{name} must be a proxy such as http://proxy.example:3128, with user:password@ before its "
            "host where it asks for them. Proxies that are reached by TLS or SOCKS are not supported."
        )
    return url
