"""How results look: a table for people, or JSON whose keys are the protos' own."""

from __future__ import annotations

import enum
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from services.kernel.model.severity import Severity

if TYPE_CHECKING:
    from google._upb._message import Descriptor as FastDescriptor
    from google.protobuf.descriptor import Descriptor
    from google.protobuf.message import Message
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

Record: TypeAlias = Mapping[str, object]

_WIDE = 400
"""Columns of a table that goes to a file or another program: nothing is cut there."""
_COLOURS = {
    "CRITICAL": "bold red",
    "HIGH": "red",
    "MEDIUM": "yellow",
    "LOW": "cyan",
    "COMPLETE": "green",
    "FAILED": "red",
    "SUCCEEDED": "green",
    "PARTIAL": "yellow",
    "FIXED": "green",
    "STILL_PRESENT": "red",
    "RETRYING": "yellow",
}


class Output(enum.Enum):
    """What a command prints."""

    TABLE = "table"
    JSON = "json"


def to_record(message: Message) -> dict[str, object]:
    """Turns a message into plain values.

    Every field is there: unset messages and optional numbers as None. Enums lose the prefix that proto style asks
    for, so that a state reads COMPLETE here as everywhere else.
    """
    from google.protobuf.json_format import MessageToDict

    plain = MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
    return _completed(plain, message.DESCRIPTOR)


def show_record(output: Output, record: Record) -> None:
    """Prints one thing to standard output: one JSON object, or a line for each field."""
    if output is Output.JSON:
        print_json(record)
        return
    width = max(map(len, record), default=0)
    console = console_for(sys.stdout)
    for key, value in record.items():
        line = styled(key.ljust(width), "dim")
        console.print(line.append("  ").append_text(cell(value)), soft_wrap=True)


def show_records(output: Output, records: Sequence[Record], columns: Sequence[str]) -> None:
    """Prints a list to standard output: a JSON list with every field, or a table of the named ones."""
    if output is Output.JSON:
        print_json(list(records))
        return
    titles = [column.replace("_", " ").upper() for column in columns]
    rows = [[record.get(column) for column in columns] for record in records]
    console_for(sys.stdout).print(table_of(titles, rows))


def show_lines(lines: Iterable[str]) -> None:
    """Prints text to standard output, line by line as it is."""
    console = console_for(sys.stdout)
    for line in lines:
        console.print(styled(line, ""), soft_wrap=True)


def show_remark(output: Output, sentence: str) -> None:
    """Writes what should be known of a result to standard error: a sentence, or JSON with the key `remark`."""
    if output is Output.JSON:
        sys.stderr.write(msgspec.json.encode({"remark": sentence}).decode() + "\n")
        return
    console_for(sys.stderr).print(styled(sentence, "dim"), soft_wrap=True)


def table_of(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """Makes a table for people, with the rows in the given order."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in titles:
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*map(cell, row))
    return table


def announce(**places: str) -> None:
    """Prints at once where a running process is reached: a line for each place that it has."""
    console = console_for(sys.stdout)
    for name, place in places.items():
        if place:
            console.print(styled(name.ljust(9), "dim").append_text(styled(place, "")), soft_wrap=True)
    sys.stdout.flush()


def print_json(value: object) -> None:
    """Prints a value as indented JSON to standard output."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value)).decode() + "\n")


def console_for(stream: object) -> Console:
    """Returns a console on standard output or standard error; colours only where a terminal is."""
    from rich.console import Console

    error = stream is sys.stderr
    terminal = (sys.stderr if error else sys.stdout).isatty()
    return Console(stderr=error, highlight=False, markup=False, emoji=False, width=None if terminal else _WIDE)


def cell(value: object) -> Text:
    """Writes a value for people, in the colour of its word."""
    text = _words(value)
    return styled(text, _COLOURS.get(text, ""))


def styled(text: str, style: str) -> Text:
    """Makes text that a terminal may be given: what came from outside cannot steer it."""
    from rich.text import Text

    return Text("".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text), style=style)


def _words(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_words(item)}" for key, item in value.items()) or "-"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(_words, value)) or "-"
    return str(value) if value != "" else "-"


def _completed(plain: dict[str, object], kind: Descriptor | FastDescriptor) -> dict[str, object]:
    record: dict[str, object] = {}
    for field in kind.fields:
        value = plain.get(field.name)
        if field.enum_type is not None and isinstance(value, str):
            value = _bare(value, field.enum_type.name)
        elif field.enum_type is not None and isinstance(value, list):
            value = [_bare(word, field.enum_type.name) for word in value]
        elif field.message_type is not None and not field.message_type.full_name.startswith("google.protobuf."):
            value = _nested(value, field.message_type)
        record[field.name] = value
    return record


def _nested(value: object, kind: Descriptor | FastDescriptor) -> object:
    if isinstance(value, list):
        return [_completed(item, kind) for item in value]
    if isinstance(value, dict) and kind.GetOptions().map_entry:
        return dict(sorted(value.items(), key=_map_order))  # protobuf keeps no order of its own
    if isinstance(value, dict):
        return _completed(value, kind)
    return value


def _map_order(item: tuple[str, object]) -> tuple[int, str]:
    key = item[0]
    return (Severity[key].rank if key in Severity.__members__ else -1, key)


def _bare(word: str, enum_name: str) -> str:
    prefix = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", enum_name).upper() + "_"
    bare = word.removeprefix(prefix)
    return "" if bare == "UNSPECIFIED" else bare
