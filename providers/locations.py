"""Where an account's files are, whatever the spelling: two accounts in one place see the same files.

A place is made from the URL or the key that a driver really uses. Where two spellings may or may not lead to
the same files, they are one place: one too wide hides a file, one too narrow shows a stranger's.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import unquote

import idna

from providers.parsing import split_url

#: Hosts that serve all customers of a vendor: what an account sees there depends on its key.
VENDOR_HOSTS: Final = frozenset(
    {
        *("api.openai.com", "api.anthropic.com", "generativelanguage.googleapis.com", "api.groq.com"),
        *("api.together.ai", "api.x.ai", "api.cerebras.ai", "api.deepinfra.com", "api.cohere.com"),
        *("api.mistral.ai", "api.cognitive.microsoft.com", "ark.cn-beijing.volces.com"),
        *("ark.ap-southeast.bytepluses.com", "dashscope.aliyuncs.com", "api.deepseek.com"),
        *("api.moonshot.ai", "api.morphllm.com", "api.tokenfactory.nebius.com", "api.novita.ai"),
        *("openrouter.ai", "api.perplexity.ai", "api.ppio.com", "api.siliconflow.cn", "open.bigmodel.cn"),
    }
)
#: Other names of such hosts.
_OTHER_NAMES: Final = {
    "api.together.xyz": "api.together.ai",
    "api.cohere.ai": "api.cohere.com",
    "api.studio.nebius.ai": "api.tokenfactory.nebius.com",
    "api.studio.nebius.com": "api.tokenfactory.nebius.com",
    "api.ppinfra.com": "api.ppio.com",
    "api.siliconflow.com": "api.siliconflow.cn",
}

# An authority that begins with `@` is no host name.
_LOOPBACK: Final = "@loopback"
_LOOPBACK_NAMES: Final = re.compile(r"(?:.+\.)?localhost|localhost\.localdomain|ip6-(?:localhost|loopback)")
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
_DEFAULT_PORTS: Final = frozenset({None, 80, 443})

#: Every endpoint of S3: global, regional, dual-stack, FIPS, accelerated, VPC; also with a bucket in front.
_S3: Final = re.compile(
    r"(?:(?P<bucket>.+)\.)?s3(?:[.-](?P<variant>[a-z0-9.-]+))?"
    r"\.(?:amazonaws\.(?P<end>com\.cn|com|eu)|api\.aws)"
)
_VPC_ENDPOINT: Final = re.compile(r"(?:^|\.)(?:bucket|accesspoint|control)\.vpce-[^.]+$|^vpce-[^.]+$")
_GCS: Final = re.compile(
    r"(?:(?P<bucket>.+)\.)?(?:[a-z0-9-]*storage[a-z0-9-]*(?:\.[a-z0-9-]+)*|www|private|restricted)"
    r"\.googleapis\.com|storage\.cloud\.google\.com"
)
#: A resource of Azure has one name under several domains, and shows the same files under all of them.
_AZURE: Final = re.compile(
    r"(?P<resource>[a-z0-9-]+)\.(?:privatelink\.)?(?:openai|cognitiveservices|services\.ai)"
    r"\.azure\.(?P<cloud>com|us|cn)"
)
#: Segments that choose a version or dialect of an API, not other files.
_DIALECT: Final = re.compile(r"v[0-9]+[a-z0-9]*|openai")


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A folder of one authority: what is below it is in it.

    authority: a host with its port, or an object store or resource that many hosts lead to.
    path: begins and ends with a slash. key: tells customers of one vendor apart; empty where the host does.
    """

    authority: str
    path: str = "/"
    key: str = ""

    def contains(self, other: Place) -> bool:
        """Whether all of `other` is in this place."""
        same = (self.authority, self.key) == (other.authority, other.key)
        return same and other.path.startswith(self.path)

    def ancestors(self) -> list[str]:
        """Return the paths of all places of the authority that contain this one, its own among them."""
        ends = [match.end() for match in re.finditer("/", self.path)]
        return [self.path[:end] for end in ends]

    def below(self, *segments: str) -> Place:
        """Return the place that many folders deeper."""
        return replace(self, path=self.path + "".join(f"{segment}/" for segment in segments if segment))


@dataclass(frozen=True, slots=True)
class Location:
    """Everything that one account may reach, as a set of places."""

    places: frozenset[Place]

    @classmethod
    def of(cls, places: Iterable[Place]) -> Location:
        """Return the location made of these places."""
        return cls(frozenset(places))

    def equal(self, other: Location) -> bool:
        """Whether both accounts reach exactly the same."""
        return self.places == other.places

    def overlaps(self, other: Location) -> bool:
        """Whether a file can be in reach of both."""
        return any(a.contains(b) or b.contains(a) for a in self.places for b in other.places)

    def with_key(self, key: str) -> Location:
        """Return the location of a customer who has this key; only a vendor's own hosts ask for one."""
        return Location.of(
            replace(place, key=key) if place.authority in VENDOR_HOSTS else place for place in self.places
        )

    @property
    def is_at_vendor(self) -> bool:
        """Whether every place is at a host that serves all customers of its vendor."""
        return all(place.authority in VENDOR_HOSTS for place in self.places)


def collection_place(url: str) -> Place:
    """Return the place of the collection of files at `url`, without the collection's own name."""
    authority, segments = _root(url)
    if authority in VENDOR_HOSTS or authority.startswith("@azure/"):
        return Place(authority)
    segments = segments[:-1]
    while segments and _DIALECT.fullmatch(segments[-1]):
        segments = segments[:-1]
    return Place(authority).below(*segments)


def object_place(endpoint_url: str, bucket: str, prefix: str) -> Place:
    """Return the place of the objects below `prefix`, whose bucket is named in the path of requests."""
    authority, segments = _root(endpoint_url)
    return Place(authority).below(*segments, bucket, *prefix.split("/"))


def disk_place(directory: str) -> Place:
    """Return the place of a directory of the gateway's own disk, given as an absolute and resolved path."""
    return Place("@disk").below(*directory.split("/"))


def s3_endpoint(region: str) -> str:
    """Return the endpoint of a region, which may be unsaid."""
    end = "com.cn" if region.startswith("cn-") else "com"
    return f"https://s3.{region}.amazonaws.{end}" if region else "https://s3.amazonaws.com"


def _root(url: str) -> tuple[str, list[str]]:
    """Return the authority of a URL, and its path in segments; the bucket in a host's name is the first."""
    parts = split_url(url)
    host = _host(parts.hostname or "")
    segments = _segments(parts.path)
    if match := _S3.fullmatch(host):
        bucket = _VPC_ENDPOINT.sub("", match["bucket"] or "")
        return _s3_partition(match), [bucket, *segments] if bucket else segments
    if match := _GCS.fullmatch(host):
        return "@gcs", [match["bucket"], *segments] if match["bucket"] else segments
    if match := _AZURE.fullmatch(host):
        cloud = "" if match["cloud"] == "com" else f".{match['cloud']}"
        return f"@azure/{match['resource']}{cloud}", segments
    port = "" if parts.port in _DEFAULT_PORTS else f":{parts.port}"
    return _vendor(host) + port, segments


def _s3_partition(match: re.Match[str]) -> str:
    if match["end"] == "com.cn":
        return "@aws-cn"
    if match["end"] == "eu":
        return "@aws-eusc"
    return "@aws-us-gov" if "us-gov-" in (match["variant"] or "") else "@aws"


def _vendor(host: str) -> str:
    """Return the name that stands for all names of a vendor's host, such as those of its regions."""
    host = _OTHER_NAMES.get(host, host)
    return next((known for known in VENDOR_HOSTS if host.endswith(f".{known}")), host)


def _host(name: str) -> str:
    """Return a host in its one spelling. All that lead to this machine are one."""
    name = unquote(name)
    if not name.isascii():
        with suppress(idna.IDNAError):
            name = idna.encode(name, uts46=True).decode()  # as requests does
    name = name.lower().rstrip(".")
    address = _address(name)
    if _LOOPBACK_NAMES.fullmatch(name) or (address and _is_loopback(address)):
        return _LOOPBACK
    return str(address or name)


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Read an address in any spelling that a resolver takes: 127.1, decimal, octal, hexadecimal, mapped."""
    if re.fullmatch(r"[0-9a-fx.]+", name):
        try:
            return ipaddress.IPv4Address(socket.inet_aton(name))
        except OSError:
            return None
    try:
        found = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return None
    if found.version == 6:
        if found in _NAT64:
            return ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        return found.ipv4_mapped or found.sixtofour or found
    return found


def _is_loopback(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    return address.is_loopback or address.is_unspecified


def _segments(path: str) -> list[str]:
    """Return the segments of a URL's path: decoded, in lower case, without parameters, dots resolved."""
    segments: list[str] = []
    for segment in unquote(path).lower().split("/"):
        segment = segment.partition(";")[0]
        if segment == "..":
            segments = segments[:-1]
        elif segment not in {"", "."}:
            segments.append(segment)
    return segments
