"""The lines of a batch file on their way: checked, and rendered where the provider's jobs read other ones."""

from __future__ import annotations

from files_app.streams.jsonl import BatchLineChecker
from providers.batches.rendering import BatchRenderer
from providers.objects import BatchFacts


class BatchLines:
    """Takes a file's chunks. `problems` are those of whoever the first line has chosen.

    The renderer judges OpenAI's lines, which jobs of its provider do not read; the checker all others. Both
    see the file up to the end of its first line, and one of them the rest.

    renderer: None where jobs read every file as it is.
    """

    def __init__(self, checker: BatchLineChecker, renderer: BatchRenderer | None) -> None:
        self._checker = checker
        self._renderer = renderer
        self._is_native: bool | None = True if renderer is None else None
        self._rendered: list[bytes] = []

    @property
    def problems(self) -> list[str]:
        """What is wrong, as `line N: what`; final after `finish`."""
        return self._judge.problems

    @property
    def is_full(self) -> bool:
        """Whether reading on is no use."""
        return self._judge.is_full

    def feed(self, chunk: bytes) -> None:
        """Check and render the lines that `chunk` completes."""
        if self._is_native is not False:
            self._checker.feed(chunk)
        if self._renderer is not None and not self._is_native:
            self._keep(self._renderer, self._renderer.feed(chunk))

    def finish(self) -> None:
        """Check and render what stands behind the last line end."""
        if self._is_native is not False:
            self._checker.finish()
        if self._renderer is not None and not self._is_native:
            self._keep(self._renderer, self._renderer.finish())

    def take(self) -> bytes:
        """Return what was rendered since the last call."""
        taken, self._rendered = b"".join(self._rendered), []
        return taken

    def facts(self, size: int) -> BatchFacts | None:
        """Return what the lines are for a job; None where jobs read every file as it is.

        Only after a `finish` without problems. size: of the file.
        """
        if self._renderer is None:
            return None
        if self._is_native:
            return BatchFacts(self._checker.format, self._checker.records, size, is_rendered=False)
        found = self._renderer.summary()
        return BatchFacts(
            found.format,
            found.records,
            found.bytes,
            found.model,
            found.endpoint,
            found.ignored,
            found.warnings,
        )

    def sample(self) -> tuple[bytes, ...]:
        """Return the first rendered lines; only after a `finish` without problems."""
        return () if self._renderer is None or self._is_native else self._renderer.summary().sample

    @property
    def _judge(self) -> BatchLineChecker | BatchRenderer:
        """Whose word counts: before the first line has ended, that of whoever found something wrong."""
        if self._renderer is None or self._is_native:
            return self._checker
        return self._renderer if self._is_native is False or self._renderer.problems else self._checker

    def _keep(self, renderer: BatchRenderer, rendered: bytes) -> None:
        self._is_native = renderer.is_native
        if rendered:
            self._rendered.append(rendered)
