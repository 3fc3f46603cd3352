"""The stores that connections are tested against."""

from tests.providers.stores import moto_server

__all__ = ["moto_server"]
