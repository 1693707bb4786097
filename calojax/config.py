"""Configurations: TOML and overrides -> frozen dataclasses, and back.

A field is `name: Annotated[type, "meaning with unit"] = default`; types are bool, int, float, str, Literal, tuples,
dataclasses, and any of these or None. Unknown keys are errors with the nearest right name. Imports only the standard
library and (to write TOML) tomli_w, so that the command line can list every field at once.
"""

import dataclasses
import difflib
import json
import tomllib
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

from calojax import digests
from calojax.errors import InputError

T = TypeVar("T")
_NOT_TOML = (ValueError, RecursionError)  # TOMLDecodeError is a ValueError; so are bytes and digits Python refuses
_LONGEST = 100  # characters of a value that a message repeats


class Entry(NamedTuple):
    """One field as a reader sees it: dotted key, type, default (TOML; empty if there is none), meaning."""

    key: str
    type: str
    default: str
    meaning: str


def build(cls: type[T], table: dict[str, Any], where: str = "") -> T:
    """A dataclass from a table of TOML values; `where` names the file.

    Raises InputError for unknown keys, missing keys, wrong types and what the dataclasses themselves refuse.
    """
    try:
        return _build(cls, table, "")
    except InputError as error:
        raise (error.inside(where) if where else error) from None


def override(table: dict[str, Any], text: str) -> dict[str, Any]:
    """The table with `a.b=value` set; the value is TOML, a bare word is a string. The table itself stays as it is."""
    key, equals, value = text.partition("=")
    path = key.strip().split(".")
    if not equals or not all(path):
        where = f"--set {_shown(text)}"
        raise _refused(where, "is no setting", "a setting is key=value", "as in --set training.steps=100")
    try:
        parsed = tomllib.loads(f"value = {value}")
    except _NOT_TOML:
        parsed = {}
    return _with(table, path, parsed["value"] if len(parsed) == 1 else value.strip(), text)


def read_toml(path: Path | str) -> dict[str, Any]:
    """The table in a TOML file; InputError if it is missing or not TOML."""
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise _refused(str(path), "does not exist", "a TOML file is needed", "check the path") from None
    except IsADirectoryError:
        raise _refused(str(path), "is a folder", "a TOML file is needed", "check the path") from None
    except OSError as error:
        found = f"cannot be read ({error.strerror})"
        raise _refused(str(path), found, "a TOML file is needed", "check the path and its permissions") from None
    except _NOT_TOML as error:
        raise _refused(str(path), f"is not TOML ({error})", "a configuration is TOML", "mend this place") from None


def read_json(path: Path) -> dict[str, Any]:
    """The table in a JSON file; InputError if it cannot be read or is none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise _refused(str(path), f"cannot be read ({error.strerror})", "it must be there", "copy it again") from None
    except (ValueError, RecursionError) as error:
        raise _refused(str(path), f"is not JSON ({error})", "it must be as it was written", "copy it again") from None
    if not isinstance(found, dict):
        raise _refused(str(path), f"holds {_shown(found)}", "a table is needed", "copy it again")
    return found


def to_table(config: Any) -> dict[str, Any]:
    """The dataclass as a table of TOML values, complete; fields that are None are left out."""
    found = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    return {name: _plain(value) for name, value in found.items() if value is not None}


def to_toml(config: Any, **head: str) -> str:
    """The dataclass as TOML text that `build` turns back into it; head: further keys on top, for another reader."""
    import tomli_w  # noqa: PLC0415  (only here)

    return tomli_w.dumps(head | to_table(config))


def flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every value of a table and of those within it, with its dotted key."""
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def digest(config: Any) -> str:
    """SHA-256 (hex) of the complete configuration, independent of the order of keys."""
    return digests.of_table(to_table(config))


def describe(cls: type) -> list[Entry]:
    """Every field of a dataclass, nested ones with dotted keys, in order."""
    return list(_entries(cls, ""))


def _entries(cls: type, prefix: str) -> Iterator[Entry]:
    hints, full = get_type_hints(cls), get_type_hints(cls, include_extras=True)
    for field in dataclasses.fields(cls):
        kind = hints[field.name]
        if dataclasses.is_dataclass(kind):
            yield from _entries(kind, f"{prefix}{field.name}.")  # type: ignore[arg-type]
            continue
        meaning = get_args(full[field.name])[1] if get_origin(full[field.name]) is Annotated else ""
        yield Entry(prefix + field.name, _name(kind), _default(field), meaning)


def _build(cls: type[T], table: Any, prefix: str) -> T:
    section = f"[{prefix[:-1]}]" if prefix else "the top level"
    if not isinstance(table, dict):
        raise _refused(prefix[:-1] or section, f"is {_shown(table)}", "a table is needed", f"write it as {section}")
    hints = get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for name in table:
        if name not in fields:
            raise _unknown(prefix, section, name, list(fields))
    for name, field in fields.items():
        if name not in table and field.default is field.default_factory is dataclasses.MISSING:
            raise _refused(_place(prefix, name), "is missing", f"{section} needs it", "add it")
    return cls(**{name: _convert(hints[name], value, prefix, name) for name, value in table.items()})


def _convert(kind: Any, value: Any, prefix: str, name: str) -> Any:
    if dataclasses.is_dataclass(kind):
        return _build(kind, value, f"{prefix}{name}.")  # type: ignore[arg-type]
    converted = _match(kind, value)
    if converted is _MISMATCH:
        raise _refused(
            _place(prefix, name),
            f"is {_shown(value)}",
            f"it must be {_name(kind)}",
            "change the value",
        )
    return converted


_MISMATCH = object()


def _match(kind: Any, value: Any) -> Any:
    """The value as `kind`, or _MISMATCH."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return next((m for m in (_match(each, value) for each in arguments) if m is not _MISMATCH), _MISMATCH)
    if origin is Literal:
        return value if any(value == each and type(value) is type(each) for each in arguments) else _MISMATCH
    if origin is tuple:
        return _match_tuple(arguments, value)
    if type(value) is int and not -(2**63) <= value < 2**63:  # TOML's numbers; a float could not hold it either
        return _MISMATCH
    if type(value) is str and not _is_unicode(value):
        return _MISMATCH
    if kind is float and type(value) is int:
        return float(value)
    return value if type(value) is kind else _MISMATCH


def _is_unicode(text: str) -> bool:
    """False for bytes of a command line that are no UTF-8, which no file of ours could hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _match_tuple(arguments: tuple[Any, ...], value: Any) -> Any:
    if not isinstance(value, (list, tuple)):
        return _MISMATCH
    kinds = (arguments[0],) * len(value) if arguments[-1] is Ellipsis else arguments
    if len(kinds) != len(value):
        return _MISMATCH
    found = tuple(_match(kind, each) for kind, each in zip(kinds, value, strict=True))
    return _MISMATCH if any(each is _MISMATCH for each in found) else found


def _with(table: dict[str, Any], path: list[str], value: Any, text: str) -> dict[str, Any]:
    if len(path) == 1:
        return table | {path[0]: value}
    inner = table.get(path[0], {})
    if not isinstance(inner, dict):
        found = f"{_key(path[0])} is no table"
        raise _refused(f"--set {_shown(text)}", found, "only tables have keys", "check the key")
    return table | {path[0]: _with(inner, path[1:], value, text)}


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return to_table(value)
    return [_plain(each) for each in value] if isinstance(value, (list, tuple)) else value


def _default(field: dataclasses.Field) -> str:
    if field.default_factory is not dataclasses.MISSING:
        return json.dumps(_plain(field.default_factory()))
    missing = field.default is dataclasses.MISSING or field.default is None
    return "" if missing else json.dumps(_plain(field.default))


def _name(kind: Any) -> str:
    """A type in the words of a TOML file."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return " or ".join(_name(each) for each in arguments if each is not type(None))
    if origin is Literal:
        return " or ".join(json.dumps(each) for each in arguments)
    if origin is tuple:
        if arguments[-1] is Ellipsis:
            return f"list of {_name(arguments[0])}"
        return f"[{', '.join(map(_name, arguments))}]"
    return {bool: "true or false", int: "whole number", float: "number", str: "text"}.get(kind) or str(kind.__name__)


def _unknown(prefix: str, section: str, name: str, known: list[str]) -> InputError:
    near = difflib.get_close_matches(name, known, 1)
    remedy = f"did you mean {near[0]}?" if near else "remove it"
    return _refused(_place(prefix, name), "unknown key", f"{section} has {', '.join(known)}", remedy)


def _place(prefix: str, name: str) -> str:
    return f"[{prefix[:-1]}] {_key(name)}" if prefix else _key(name)


def _key(name: str) -> str:
    return name if name.isidentifier() else _shown(name)


def _shown(value: Any) -> str:
    """A value for a message: on one line, the start of what is long."""
    try:
        text = json.dumps(value, default=str)
    except ValueError:  # more digits than Python writes
        text = "a number of thousands of digits"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _refused(where: str, found: str, rule: str, remedy: str) -> InputError:
    return InputError(where=where, found=found, rule=rule, remedy=remedy)
