"""Workers: the line protocol, what is left out and why, and the libraries themselves where they are installed."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import couplings, distances
from benchmarks.peers import asking, flow
from benchmarks.running import Options

ROOT = Path(couplings.__file__).parents[1]
FAKE = "tests.benchmarks.fake_peer"
PYTHON = ROOT / ".venv-peers" / "bin" / "python"
WITH_PEERS = pytest.mark.skipif(not PYTHON.exists(), reason="needs `make bench-peers`")


def test_a_worker_answers_fails_and_goes_on_until_it_is_gone():
    with asking.running(sys.executable, f"{FAKE}:Fake") as peer:
        assert peer.versions == {"numpy": np.__version__}
        assert peer.ask("doubled", n=4) == {"twice": 8, "threads": "1"}
        with pytest.raises(asking.PeerFailed, match=r"^ValueError: it cannot$"):
            peer.ask("broken")
        assert peer.ask("doubled", n=5)["twice"] == 10
        with pytest.raises(asking.PeerFailed, match="ended with 3: the last words"):
            peer.ask("gone")
        with pytest.raises(asking.PeerFailed, match="ended with 3"):
            peer.ask("doubled", n=6)


def test_what_cannot_be_loaded_is_left_out_by_name():
    names = {"good": f"{FAKE}:Fake", "bad": f"{FAKE}:Unloadable", "absent": "benchmarks.peers.absent:Flow"}
    with asking.all_running(names, sys.executable) as (peers, left_out):
        assert list(peers) == ["good"]
    absent = "ModuleNotFoundError: No module named 'benchmarks.peers.absent'"
    assert left_out == {"bad": "ImportError: no such library", "absent": absent}
    with asking.all_running({"good": f"{FAKE}:Fake"}, None) as (peers, left_out):
        assert not peers and "make bench-peers" in left_out["good"]
    with asking.all_running({"good": f"{FAKE}:Fake"}, "/no/such/python") as (peers, left_out):
        assert not peers and "does not start" in left_out["good"]


class Told:
    """A peer without a process: says what it is told to say."""

    def __init__(self, seconds, **checked):
        self.seconds, self.versions = seconds, {}
        good = {"round_trip": 1e-6, "losses": [2.0, 1.0], "finite": True, "drawn": [139, couplings.SHAPE["dims"]]}
        self.checked = good | checked

    def ask(self, do, **arguments):
        if do == "checked" and self.seconds is None:
            raise asking.PeerFailed("broken")
        found = {"make": {"parameters": 1}, "checked": self.checked}
        return found.get(do, {"wall": self.seconds, "cpu": self.seconds})


def test_flows_that_are_wrong_are_left_out_and_the_others_compared():
    peers = {
        "calojax": Told(0.001),
        "slow": Told(0.004),
        "broken": Told(None),
        "far": Told(0.1, round_trip=0.1),
        "not a number": Told(0.1, round_trip=float("nan")),
        "does not learn": Told(0.1, losses=[1.0, 2.0]),
        "other shape": Told(0.1, drawn=[139, 1]),
    }
    about, left_out = couplings._checked(peers, 139)
    assert list(about) == ["calojax", "slow"] and left_out["broken"] == "broken" and len(left_out) == 5
    options = Options(rounds=2, short=True)
    rows, failed = couplings._compared({name: peers[name] for name in about}, "sampling", 139, options)
    assert not failed and list(rows) == ["calojax", "slow", "times-slow"]
    assert rows["slow"]["value"]["median"] == pytest.approx(4.0) and rows["slow"]["unit"] == "ms"
    assert rows["times-slow"]["value"]["median"] == pytest.approx(4.0) and rows["times-slow"]["better"] == "more"


def test_without_ours_there_is_nothing_to_compare(monkeypatch):
    monkeypatch.setitem(couplings.LIBRARIES, "calojax", f"{FAKE}:Unloadable")
    with pytest.raises(ValueError, match="no such library"):
        couplings.run(Options(rounds=1, short=True))


def test_all_libraries_are_trained_with_the_same_numbers():
    shape = flow.Shape(**couplings.SHAPE)
    x, context = flow.data(shape, 500)
    assert x.shape == (500, 16) and context.shape == (500, 48) and x.dtype == context.dtype == np.float32
    assert np.array_equal(x, flow.data(shape, 500)[0])
    assert np.corrcoef(x[:, 0], context[:, 0])[0, 1] > 0.5


def test_distances_are_compared_and_refused_when_they_differ():
    ours, options = lambda: (1.0, 0.1), Options(rounds=2, short=True)
    rows, why = distances.compared("fpd", ours, lambda: {"value": [1.0, 0.1], "wall": 5.0, "cpu": 4.0}, "it", options)
    assert not why and rows["times-it"]["checked"]["largest_relative_difference"] == 0
    assert rows["it"]["value"]["median"] == 4.0 and rows["it"]["clock"] == "cpu"
    with pytest.raises(ValueError, match="finds"):
        distances.compared("fpd", ours, lambda: {"value": [1.1, 0.1], "wall": 5.0, "cpu": 4.0}, "it", options)
    rows, why = distances.compared("fpd", ours, None, "it", options)
    assert list(rows) == ["calojax"] and not why


@WITH_PEERS
@pytest.mark.slow
@pytest.mark.parametrize("library", ["nflows", "zuko", "flowjax"])
def test_flows_of_other_libraries_have_the_same_size(library):
    with asking.running(PYTHON, couplings.LIBRARIES[library]) as peer:
        made = peer.ask("make", **couplings.SHAPE)
        assert made["parameters"] == (166_496 if library == "flowjax" else 158_144)
        assert not couplings._wrong(peer.ask("checked", n=139), 139)
        assert json.dumps(peer.versions)
