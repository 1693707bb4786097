"""Signals while the main thread cannot listen: what is idle is saved, what is not becomes an interruption."""

import signal
import subprocess
import sys
import threading
import time

import pytest

from calojax import stopping

# a second or more in one call into C, in which no Python handler can run
BUSY = "zlib.compress(zeros, 9)"
ZEROS = "zeros = bytes(1_500_000_000)"

IDLE = f"""
import sys, zlib
from calojax import stopping
{ZEROS}
def save():
    print("saving", flush=True)
    import time; time.sleep(0.5)
    print("saved", flush=True)
with stopping.Stop() as stop, stop.idle(save):
    print("ready", flush=True)
    {BUSY}
    {BUSY}
print("done", flush=True)
"""

STUCK = f"""
import zlib
from calojax import stopping
{ZEROS}
stopping._PATIENCE = 0.2
with stopping.interrupting():
    print("ready", flush=True)
    {BUSY}
    {BUSY}
print("done", flush=True)
"""


def signalled(program: str, *numbers: int) -> tuple[int, str, str]:
    """Exit code and output of a program that gets signals, 50 ms apart, while it is busy."""
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", program], stdout=pipe, stderr=pipe, text=True) as running:
        assert running.stdout.readline() == "ready\n"
        time.sleep(0.3)  # now it is in C
        for number in numbers:
            running.send_signal(number)
            time.sleep(0.05)
        out, err = running.communicate(timeout=60)
    return running.returncode, out, err


@pytest.mark.parametrize(
    "numbers",
    [(signal.SIGTERM,), (signal.SIGTERM, signal.SIGTERM), (signal.SIGINT, signal.SIGINT), (signal.SIGUSR1,)],
)
def test_an_idle_process_saves_once_whatever_follows(numbers):
    assert signalled(IDLE, *numbers) == (130, "saving\nsaved\n", "calojax: interrupted\n")


def test_a_process_that_cannot_be_interrupted_leaves():
    assert signalled(STUCK, signal.SIGTERM) == (130, "", "calojax: interrupted\n")


@pytest.fixture
def interruptible():
    """SIGINT as in the foreground: a job in the background ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_the_first_of_several_signals_interrupts(interruptible):
    with stopping.interrupting():
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)  # while something is being saved
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_a_stop_is_only_asked_for():
    with stopping.Stop() as stop:
        assert not stop.asked()
        signal.raise_signal(signal.SIGINT)
        assert stop.asked()
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_other_threads_hear_nothing_and_need_nothing():
    heard = []

    def work():
        with stopping.Stop() as stop, stop.idle(heard.append):
            heard.append(stop.asked())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert heard == [False]


def test_no_thread_is_left():
    with stopping.interrupting(), stopping.Stop():
        assert [t.name for t in threading.enumerate()].count("calojax-signals") == 2
    assert "calojax-signals" not in {t.name for t in threading.enumerate()}


def test_an_interrupt_that_python_drops_comes_again():
    class Collected:
        def __del__(self):
            signal.raise_signal(signal.SIGTERM)  # what the handler raises here, Python ignores

    with pytest.raises(KeyboardInterrupt), stopping.interrupting():
        Collected()
        until = time.monotonic() + 20
        while time.monotonic() < until:
            time.sleep(0.01)
