"""One line of progress on stderr, used by every room.

    with Progress(total, "generate", unit="showers") as line:
        line.advance(written)                # so many more are done; or
        line.show(done, "loss 1.23")         # so many are done in all, with a note

On a terminal the line is rewritten in place; elsewhere (a log) a new line is written every ten seconds and at the end,
unless that comes with an error: what it says is all that is left to say.
With enabled=False nothing is written at all.
"""

import sys
import time

_REWRITE, _LOG = 0.1, 10.0  # seconds between lines on a terminal and elsewhere


class Progress:
    """How far a piece of work has come: total units of it (None if unknown), its title."""

    def __init__(self, total: int | None, title: str, *, unit: str = "", enabled: bool = True):
        self._total, self._title, self._unit, self._enabled = total, title, unit, enabled
        self._stream = sys.stderr
        self._terminal = self._stream.isatty()
        self._began = time.monotonic()
        self._shown = self._began if not self._terminal else 0.0
        self._first: int | None = None
        self._last: tuple[int, str] | None = None  # done and note of the line written last
        self._done, self._note, self._width, self._open = 0, "", 0, True

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, kind, *error) -> None:
        if kind is not None and not self._terminal:
            self._open = False
        self.close()

    def advance(self, more: int, note: str = "") -> None:
        """`more` units have been done since the last call."""
        self._first = 0 if self._first is None else self._first
        self.show(self._done + more, note)

    def show(self, done: int, note: str = "") -> None:
        """`done` units have been done in all; the rate counts from the first call on (a resumed run starts late)."""
        if self._first is None:
            self._first, self._began = done, time.monotonic()
        self._done, self._note = done, note
        if time.monotonic() - self._shown >= (_REWRITE if self._terminal else _LOG):
            self._write()

    def close(self) -> None:
        """Write the last state and end the line."""
        if self._open and self._first is not None:
            if self._terminal or self._last != (self._done, self._note):
                self._write()
            if self._terminal and self._enabled:
                print(file=self._stream)
        self._open = False

    def _write(self) -> None:
        if not self._enabled:
            return
        self._shown, self._last = time.monotonic(), (self._done, self._note)
        line = self._line()
        if self._terminal:
            print("\r" + line.ljust(self._width), end="", file=self._stream, flush=True)
            self._width = len(line)
        else:
            print(line, file=self._stream, flush=True)

    def _line(self) -> str:
        seconds = max(time.monotonic() - self._began, 1e-9)
        rate = (self._done - (self._first or 0)) / seconds
        parts = [f"{self._title} {self._count()}"]
        if rate > 0:
            parts.append(f"{rate:,.{0 if rate >= 100 else 1}f} {self._unit or 'units'}/s")
        if self._total and self._done < self._total and rate > 0:
            parts.append(f"{_clock((self._total - self._done) / rate)} left")
        else:
            parts.append(_clock(seconds))
        return ", ".join([*parts, self._note] if self._note else parts)

    def _count(self) -> str:
        if not self._total:
            return f"{self._done:,} {self._unit}".rstrip()
        return f"{self._done:,}/{self._total:,} {self._unit} ({self._done / self._total:.0%})".replace("  ", " ")


def _clock(seconds: float) -> str:
    whole = round(seconds)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"
