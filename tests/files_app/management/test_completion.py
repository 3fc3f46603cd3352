"""`manage.py completion`: the script runs in a real bash and offers what the commands declare."""

from __future__ import annotations

import subprocess

import pytest

from tests.files_app.management.shell import good


def completed(*words: str) -> set[str]:
    typed = " ".join(f"'{word}'" for word in ("gateway", *words))
    call = (
        f'COMP_WORDS=({typed}); COMP_CWORD={len(words)}; _files_gateway; printf "%s\\n" "${{COMPREPLY[@]}}"'
    )
    script = good("completion", "bash", "--program", "gateway").out
    done = subprocess.run(
        ["bash", "-uc", f"{script}\n{call}"], capture_output=True, text=True, check=True, env={}
    )
    assert done.stderr == ""
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("fi",), {"files"}),
        (("deletions", ""), {"list", "retry", "give-up", "drain"}),
        (("files", "list", "--so"), {"--sort"}),
        (("files", "list", "--sort", ""), {"created", "size", "expires", "name"}),
        (("files", "list", "--sort", "size", "--rev"), {"--reverse"}),
        (("completion", ""), {"bash", "zsh"}),
        (("doctor", "--js"), {"--json"}),
        (("nothing", ""), set()),
    ],
)
def test_what_was_begun_is_completed(words: tuple[str, ...], expected: set[str]) -> None:
    assert completed(*words) == expected


def test_zsh_is_told_how_to_take_it() -> None:
    assert good("completion", "zsh").out.startswith("autoload -Uz compinit bashcompinit\n")
