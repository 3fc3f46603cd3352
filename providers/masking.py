"""Secrets in texts: providers repeat keys in their errors, people paste them.

`mask` finds what looks like a secret, wherever it stands. `Striker` finds secrets that are known.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import quote, quote_plus

MASK = "[redacted]"

#: What looks like a secret, and the words of which one stands in every match, in small letters.
#: Clients choose much of what is searched. Inside of a run of repeated characters no second match may begin,
#: or the time grows with the square of the length.
_SECRETS: Final = (
    # API keys: ours and the providers'
    (r"\b(?:fgw|sk|gsk|xai|csk|pk|rk)[_-][A-Za-z0-9_-]{12,}", ("fgw-", "fgw_", "k-", "k_", "xai-", "xai_")),
    (r"\bA(?:KIA|SIA)[0-9A-Z]{16}\b", ("akia", "asia")),  # AWS access key ids
    (r"\bAIza[0-9A-Za-z_-]{30,}", ("aiza",)),  # Google API keys
    (r"\bya29\.[0-9A-Za-z._-]{12,}", ("ya29.",)),  # Google's access tokens
    # JSON web tokens
    (r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*", ("eyj",)),
    (
        r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)",
        ("private key-----",),
    ),
    (r"(?<=bearer )[^\s\"',]{8,}", ("bearer ",)),
    (r"(?<=://)[^/@\s:]*:[^/@\s]+(?=@)", ("://",)),  # user:password in a URL
    (r"(?<=signature=)[^&\s\"']+", ("signature=",)),  # presigned URLs of S3 and GCS
    (r"(?<=upload_id=)[^&\s\"']+", ("upload_id=",)),  # Google's resumable uploads
    (r"(?<=X-Amz-Credential=)[^&\s\"']+", ("x-amz-credential=",)),
    (r"(?<=X-Amz-Security-Token=)[^&\s\"']+", ("x-amz-security-token=",)),
)
_SECRET_TEXT: Final = re.compile("|".join(pattern for pattern, _ in _SECRETS), re.IGNORECASE | re.DOTALL)
_WORDS: Final = tuple(word for _, words in _SECRETS for word in words)

SHORTEST_SECRET = 9  # `//u:p@host`: no pattern above matches less; most values of a log line are shorter


def mask(text: str) -> str:
    """Return the text with everything that looks like a secret masked."""
    return _SECRET_TEXT.sub(MASK, text) if _may_have_secret(text) else text


def _may_have_secret(text: str) -> bool:
    """Whether the patterns are worth their time, twenty times that of this look."""
    if len(text) < SHORTEST_SECRET:
        return False
    if not text.isascii():  # `K` of the Kelvin scale is a `k` to the patterns
        return True
    lowered = text.lower()
    return any(word in lowered for word in _WORDS)


#: Nothing shorter is a secret, and words would lose their letters to it.
SHORTEST_STRUCK = 4


class Striker:
    """Strikes known secrets out of texts, in every form in which an answer may repeat them."""

    def __init__(self, secrets: Iterable[str]) -> None:
        forms = {form for each in secrets if len(each) >= SHORTEST_STRUCK for form in _forms(each)}
        longest_first = sorted(forms, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first)), re.IGNORECASE) if forms else None

    def strike(self, text: str) -> str:
        """Return the text without the secrets."""
        return self._pattern.sub(MASK, text) if self._pattern else text


def _forms(secret: str) -> Iterator[str]:
    """Yield a secret as it is, and as URLs, JSON, HTML, Python and base64 write it."""
    yield secret
    yield quote(secret, safe="")
    yield quote_plus(secret)
    yield json.dumps(secret)[1:-1]
    yield html.escape(secret)
    yield repr(secret)[1:-1]
    for offset in range(3):  # base64 writes the same bytes in three ways, by where they begin
        encoded = base64.b64encode(b"\0" * offset + secret.encode()).decode()
        own = encoded[(offset * 8 + 5) // 6 : (offset + len(secret.encode())) * 8 // 6]
        if len(own) >= SHORTEST_SECRET:
            yield from (own, own.replace("+", "-").replace("/", "_"))
