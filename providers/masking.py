"""What a secret looks like, wherever it stands: providers repeat keys in their errors, people paste them."""

from __future__ import annotations

import re

MASK = "[redacted]"

# Clients choose much of what is searched. Inside of a run of repeated characters no second match may
# begin, or the time grows with the square of the length.
SECRET_TEXT = re.compile(
    r"""
      \b(?:fgw|sk|gsk|xai|csk|pk|rk)[_-][A-Za-z0-9_-]{12,}            # API keys: ours and the providers'
    | \bA(?:KIA|SIA)[0-9A-Z]{16}\b                                    # AWS access key ids
    | \bAIza[0-9A-Za-z_-]{30,}                                        # Google API keys
    | (?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*  # JSON web tokens
    | -----BEGIN\ [A-Z ]*PRIVATE\ KEY-----.*?(?:-----END\ [A-Z ]*PRIVATE\ KEY-----|\Z)
    | (?<=bearer\ )[^\s"',]{8,}
    | (?<=://)[^/@\s:]*:[^/@\s]+(?=@)                                 # user:password in a URL
    | (?<=signature=)[^&\s"']+                                        # presigned URLs of S3 and GCS
    | (?<=upload_id=)[^&\s"']+                                        # Google's resumable uploads
    | (?<=X-Amz-Credential=)[^&\s"']+
    | (?<=X-Amz-Security-Token=)[^&\s"']+
    """,
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)

SHORTEST_SECRET = 9  # `//u:p@host`: no pattern above matches less; most values of a log line are shorter


def mask(text: str) -> str:
    """Return the text with everything that looks like a secret masked."""
    return text if len(text) < SHORTEST_SECRET else SECRET_TEXT.sub(MASK, text)
