"""Which certificate authorities the gateway trusts, and how its broker, counters and database are told."""

import os
import ssl
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

_TLS_REDIS = ("rediss://", "valkeys://")


def verified_redis(url: str, ca_bundle: str | None) -> str:
    """Return the URL with what makes its client verify the server; what the URL says itself wins.

    kombu verifies nothing by default. Other URLs than those of Redis with TLS come back as they are, and
    so does each that is not one of them in a list with semicolons.
    """
    return ";".join(_verified_redis(each, ca_bundle) for each in url.split(";"))


def _verified_redis(url: str, ca_bundle: str | None) -> str:
    if not url.startswith(_TLS_REDIS):
        return url
    address, _, query = url.partition("?")
    options = {"ssl_cert_reqs": "required", **({"ssl_ca_certs": ca_bundle} if ca_bundle else {})}
    return f"{address}?{urlencode({**options, **dict(parse_qsl(query))})}"


def amqps_options(url: str, ca_bundle: str | None) -> dict[str, Any] | bool:
    """Return Celery's `broker_use_ssl` for the URL: False where it is none with TLS over AMQP.

    py-amqp verifies the certificate by default, but not that it is the server's. Where several servers are
    named, one set of options has to do for all of them, so that their names cannot be verified.
    """
    if not url.startswith("amqps:"):
        return False
    options: dict[str, Any] = {"cert_reqs": ssl.CERT_REQUIRED}
    if ca_bundle:
        options["ca_certs"] = ca_bundle
    if ";" not in url:
        options["server_hostname"] = urlsplit(url).hostname
    return options


def trusting(database: dict[str, Any], ca_bundle: str | None) -> dict[str, Any]:
    """Return Django's configuration of a database whose client trusts the bundle, where it verifies at all.

    Only a `sslmode` of verify-ca or verify-full does. `sslrootcert` of the URL or the environment wins.
    """
    options = database.get("OPTIONS", {})
    asks = str(options.get("sslmode", os.environ.get("PGSSLMODE", ""))).startswith("verify-")
    if not (ca_bundle and asks) or "sslrootcert" in options or os.environ.get("PGSSLROOTCERT"):
        return database
    return {**database, "OPTIONS": {**options, "sslrootcert": ca_bundle}}
