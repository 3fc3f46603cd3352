"""The gateway's version, as pyproject.toml has it: a container holds no metadata of an installed package."""

VERSION = "0.1.0"
