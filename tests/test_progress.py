"""What the line of progress says, on a terminal and in a log."""

import io

import pytest

from calojax.progress import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass only when told."""
    now = [100.0]
    monkeypatch.setattr("calojax.progress.time.monotonic", lambda: now[0])
    return lambda seconds: now.__setitem__(0, now[0] + seconds)


def written(monkeypatch, stream, use):
    monkeypatch.setattr("sys.stderr", stream)
    use()
    return stream.getvalue()


def test_a_log_gets_a_line_now_and_then_and_one_at_the_end(monkeypatch, clock):
    def use():
        with Progress(100, "generate", unit="showers") as line:
            for _ in range(100):
                clock(0.5)
                line.advance(1)

    lines = written(monkeypatch, io.StringIO(), use).splitlines()
    assert 4 <= len(lines) <= 7
    assert "\r" not in "".join(lines)
    assert lines[-1].startswith("generate 100/100 showers (100%), 2.0 showers/s")


def test_a_terminal_has_one_line_that_is_rewritten(monkeypatch, clock):
    def use():
        with Progress(4, "train", unit="steps") as line:
            for done in range(5):
                clock(1.0)
                line.show(done, "loss 1.5")

    text = written(monkeypatch, Terminal(), use)
    assert text.count("\n") == 1 and text.endswith("\n")
    assert text.count("\r") >= 4
    assert "loss 1.5" in text


def test_the_rest_of_a_longer_line_does_not_stay_behind(monkeypatch, clock):
    def use():
        with Progress(2, "train", unit="steps") as line:
            line.show(0, "a long note that goes away")
            clock(1.0)
            line.show(1, "")

    first, second = written(monkeypatch, Terminal(), use).split("\r")[1:3]
    assert len(second) >= len(first)


def test_a_resumed_run_counts_its_rate_from_where_it_went_on(monkeypatch, clock):
    def use():
        with Progress(2_000, "train", unit="steps") as line:
            line.show(1_000)
            clock(10.0)
            line.show(1_010)

    assert "1.0 steps/s" in written(monkeypatch, io.StringIO(), use).splitlines()[0]


def test_nothing_is_written_when_it_is_switched_off(monkeypatch, clock):
    def use():
        with Progress(10, "generate", enabled=False) as line:
            clock(60.0)
            line.advance(10)

    assert written(monkeypatch, Terminal(), use) == ""


def test_work_of_unknown_length_is_counted(monkeypatch, clock):
    def use():
        with Progress(None, "read", unit="rows") as line:
            clock(20.0)
            line.advance(40)

    assert written(monkeypatch, io.StringIO(), use).startswith("read 40 rows")


def test_the_last_line_of_a_log_is_written_once(monkeypatch, clock):
    def use():
        with Progress(4, "read", unit="rows") as line:
            clock(20.0)
            line.advance(4)

    assert written(monkeypatch, io.StringIO(), use).count("read 4/4 rows") == 1


def test_an_error_is_the_last_line_of_a_log(monkeypatch, clock):
    def use():
        with pytest.raises(ValueError, match="row 3"), Progress(4, "read", unit="rows") as line:
            line.advance(3)
            raise ValueError("row 3")

    assert written(monkeypatch, io.StringIO(), use) == ""
