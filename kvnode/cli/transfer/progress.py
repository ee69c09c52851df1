"""A progress bar on stderr, for people only: not in logs, not in pipes."""

from types import TracebackType
from typing import Self

from kvnode.cli.output import console


class ByteProgress:
    """Shows how many bytes are done, how fast, and how long it will take."""

    def __init__(
        self, title: str, total_bytes: int | None, done_bytes: int = 0
    ) -> None:
        from rich import progress

        columns: list[progress.ProgressColumn] = [
            progress.TextColumn("{task.description}"),
            progress.BarColumn(),
            progress.DownloadColumn(binary_units=True),
            progress.TransferSpeedColumn(),
        ]
        if total_bytes is not None:
            columns.append(progress.TimeRemainingColumn())
        out = console(stderr=True)
        self._bar = progress.Progress(
            *columns, console=out, transient=True, disable=not out.is_terminal
        )
        self._task = self._bar.add_task(title, total=total_bytes, completed=done_bytes)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def move_to(self, done_bytes: int) -> None:
        """Show that *done_bytes* of the whole are done."""
        self._bar.update(self._task, completed=done_bytes)
