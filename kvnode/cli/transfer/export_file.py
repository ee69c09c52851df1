"""
`kvnode export`: entries of the store into a file, a page at a time.

The file gets its name when it is whole; until then it is FILE.partial, and
FILE.export-state says which cursor its first bytes reach.  To go on, the partial
file is cut back to those bytes.

An export is no snapshot: each page is a read of its own.  For one instant of
everything, with counters, sets and documents, there is `kvnode backup`.
"""

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kvnode.cli.arguments import base64_bytes
from kvnode.cli.invocation import Call, client_command
from kvnode.cli.output import note, print_json
from kvnode.cli.transfer.files import (
    beside,
    load_state,
    publish,
    refuse_to_overwrite,
    remove,
    save_state,
    truncate,
    whole_number,
)
from kvnode.cli.transfer.progress import ByteProgress
from kvnode.cli.transfer.records import (
    COLUMNS,
    Format,
    Record,
    csv_row,
    write_csv,
    write_ndjson,
)
from kvnode.errors import IndeterminateError, RejectedError, UnavailableError

if TYPE_CHECKING:
    from kvnode.client import Item


def register(app: typer.Typer, *, panel: str) -> None:
    """Add the command to *app*."""
    client_command(app, "export", panel=panel)(export_entries)


async def export_entries(
    call: Call,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="NDJSON or CSV.")],
    prefix: Annotated[
        str, typer.Option(metavar="PREFIX", help="Only keys that begin so.")
    ] = "",
    format_name: Annotated[
        str | None,
        typer.Option(
            "--format", metavar="ndjson|csv", help="By default, as the name ends."
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", metavar="", help="Go on where an earlier export ended."
        ),
    ] = False,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", metavar="", help="Replace FILE if it is there."),
    ] = False,
) -> None:
    """
    Write the entries of a namespace to FILE, in a form that import reads.

    Counters, sets and documents are left out, because importing them could not
    merge them: `kvnode backup` keeps them.

    Examples:
      kvnode export flags.ndjson --prefix flags/

      kvnode export users.csv --namespace users
    """
    form = Format.of(file, format_name)
    refuse_to_overwrite(file, overwrite=overwrite)
    identity = {
        "namespace": call.target.namespace,
        "prefix": base64.b64encode(call.keys.key(prefix)).decode(),
        "format": form.value,
    }
    job = _Export(call, form, beside(file, ".partial"), beside(file, ".export-state"))
    if resume:
        job.take_up(await load_state(job.state_file), identity)
    await truncate(job.partial, job.size_bytes)
    try:
        with ByteProgress(file.name, None, job.size_bytes) as bar:
            await job.run(call.keys.key(prefix), identity, bar)
    except (UnavailableError, IndeterminateError):
        note(f"{job.partial} holds what was exported; --resume goes on from there")
        raise
    await publish(job.partial, file)
    await remove(job.state_file)
    job.tell(file)


@dataclass(slots=True)
class _Export:
    """An export under way: all before `cursor` is in the first `size_bytes`."""

    call: Call
    form: Format
    partial: Path
    state_file: Path
    cursor: bytes = b""
    size_bytes: int = 0
    exported: int = 0
    left_out: int = 0

    def take_up(self, state: dict[str, object], identity: dict[str, str]) -> None:
        """Go on from *state*; a state that is empty means the beginning."""
        if not state:
            note("no earlier export was cut short; starting at the beginning")
            return
        for name, value in identity.items():
            if state.get(name) != value:
                msg = (
                    f"the earlier export had another {name}: give the same again, or"
                    " export without --resume"
                )
                raise RejectedError(msg)
        self.cursor = base64_bytes(str(state.get("cursor", "")))
        self.size_bytes = whole_number(state, "size_bytes")
        self.exported = whole_number(state, "exported")
        self.left_out = whole_number(state, "left_out")
        note(f"going on after {self.exported:,} entries")

    async def run(
        self, prefix: bytes, identity: dict[str, str], bar: ByteProgress
    ) -> None:
        """Write page after page to the partial file."""
        import aiofiles

        async with aiofiles.open(self.partial, "ab") as target:
            if self.size_bytes == 0 and self.form is Format.CSV:
                self.size_bytes += await target.write(csv_row(COLUMNS))
            complete = False
            while not complete:
                page = await self.call.client.list(
                    prefix, cursor=self.cursor, values=True
                )
                text = b"".join(map(self._line, page.items))
                await target.write(text)
                await target.flush()
                self.size_bytes += len(text)
                complete, self.cursor = page.complete, page.cursor
                bar.move_to(self.size_bytes)
                if not complete:
                    await save_state(self.state_file, {**identity, **self._state()})

    def _line(self, item: "Item") -> bytes:
        if item.kind.value != "register":
            self.left_out += 1
            return b""
        self.exported += 1
        record = Record(item.key, item.value or b"", item.metadata, item.expires_at)
        return write_csv(record) if self.form is Format.CSV else write_ndjson(record)

    def _state(self) -> dict[str, Any]:
        return {
            "cursor": base64.b64encode(self.cursor).decode(),
            "size_bytes": self.size_bytes,
            "exported": self.exported,
            "left_out": self.left_out,
        }

    def tell(self, file: Path) -> None:
        """Say what is in *file*."""
        if self.call.json:
            print_json({"exported": self.exported, "left_out": self.left_out})
            return
        note(f"exported {self.exported:,} entries to {file}")
        if self.left_out:
            note(
                f"left out {self.left_out:,} counters, sets and documents, which only"
                " `kvnode backup` keeps"
            )
