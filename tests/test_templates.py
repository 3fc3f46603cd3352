"""What a session of tests makes once: by one process, and whole."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.templates import Templates


def test_one_makes_it_and_the_others_wait(tmp_path: Path) -> None:
    makers: list[Path] = []

    def make(draft: Path) -> None:
        makers.append(draft)
        (draft / "content").write_text("whole")

    def read(_: int) -> str:
        return (Templates(tmp_path / "templates").folder("name", make) / "content").read_text()

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(read, range(8))) == {"whole"}
    assert len(makers) == 1


def test_what_was_half_made_is_made_again(tmp_path: Path) -> None:
    shared = Templates(tmp_path / "templates")

    def fail(draft: Path) -> None:
        (draft / "half").touch()
        raise InterruptedError

    with pytest.raises(InterruptedError):
        shared.folder("name", fail)
    made = shared.folder("name", lambda draft: (draft / "content").touch())
    assert [path.name for path in made.iterdir()] == ["content"]
