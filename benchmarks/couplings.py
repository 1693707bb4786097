"""How much faster coupling flows are than those of nflows, zuko and flowjax: the same size, core and rounds.

16 numbers, of which 8 move in each of 8 couplings, 48 numbers of context, conditioners of two hidden layers of 64, 8
bins; flowjax learns the slopes at both ends too. Sampling draws its noise and is of 139 elements (the rings that one
shower of data set 2 hits), of 2,048 and of 13,900; a training step is of 2,048. float32.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from benchmarks import machine, measuring
from benchmarks.peers import asking
from benchmarks.peers.asking import OURS
from benchmarks.running import Options

LIBRARIES = {
    OURS: "benchmarks.peers.calojax_flow:Flow",
    "flowjax": "benchmarks.peers.jax_flow:Flowjax",
    "nflows": "benchmarks.peers.torch_flows:Nflows",
    "nflows-compiled": "benchmarks.peers.torch_flows:NflowsCompiled",
    "zuko": "benchmarks.peers.torch_flows:Zuko",
    "zuko-compiled": "benchmarks.peers.torch_flows:ZukoCompiled",
}
SHAPE = {"dims": 16, "context": 48, "couplings": 8, "hidden": 64, "bins": 8, "bound": 5.0}
SAMPLED, TRAINED = (139, 2048, 13_900), 2048
MFLOP = 2e-6 * SHAPE["couplings"] * (56 * 64 + 64 * 64 + 64 * 8 * 23)  # products of an element, forward
_FAR = 1e-4  # round trips of float32 stay well within


def run(options: Options) -> dict[str, Any]:
    """Rows sampling/n=N/LIBRARY and training/n=N/LIBRARY in ms, and /times-LIBRARY: its time over ours."""
    tasks = [("sampling", n) for n in SAMPLED] + [("training", TRAINED)]
    libraries = LIBRARIES
    if options.short:  # compiling PyTorch takes minutes
        tasks = [("sampling", SAMPLED[0]), ("training", SAMPLED[0])]
        libraries = {name: kind for name, kind in LIBRARIES.items() if "compiled" not in name}
    results: dict[str, Any] = {}
    with asking.all_running(libraries, options.peers) as (peers, left_out):
        about, failed = _checked(peers, tasks[-1][1])
        left_out |= failed
        for do, n in tasks:
            rows, failed = _compared({name: peers[name] for name in about}, do, n, options)
            results |= {f"{do}/n={n}/{name}": row | about.get(name, {}) for name, row in rows.items()}
            left_out |= {f"{do}/n={n}/{name}": why for name, why in failed.items()}
    if OURS in left_out:
        raise ValueError(f"{OURS}: {left_out[OURS]}")
    return {"results": results, "left_out": left_out}


def _checked(peers: Mapping[str, asking.Peer], n: int) -> tuple[dict[str, Any], dict[str, str]]:
    """What there is to know of each flow beside its times; those that are wrong are left out."""
    about, left_out = {}, {}
    for name, peer in peers.items():
        try:
            about[name] = (
                {"versions": peer.versions} | peer.ask("make", **SHAPE) | {"checked": peer.ask("checked", n=n)}
            )
        except asking.PeerFailed as failure:
            left_out[name] = str(failure)
            continue
        if wrong := _wrong(about[name]["checked"], n):
            left_out[name] = f"{wrong}: {about.pop(name)['checked']}"
    return about, left_out


def _wrong(found: dict[str, Any], n: int) -> str:
    """What is wrong with a flow, if anything."""
    if found["drawn"] != [n, SHAPE["dims"]] or not found["finite"]:
        return "what it draws is of another shape or not finite"
    if not found["round_trip"] < _FAR:
        return "its inverse does not undo it"
    return "" if found["losses"][-1] < found["losses"][0] else "its loss does not fall"


def _compared(
    peers: Mapping[str, asking.Peer], do: str, n: int, options: Options
) -> tuple[dict[str, Any], dict[str, str]]:
    """Rows of all that can do it, and why the others cannot; compiling is apart."""
    first, left_out = {}, {}
    for name, peer in peers.items():
        try:
            first[name] = peer.ask(do, n=n, seconds=0.0)["wall"]
        except asking.PeerFailed as failure:
            left_out[name] = str(failure)
    product, flop = machine.product("float32")
    measuring.turn(product, 0.0)
    turns = {name: partial(asking.turn, peers[name], do, n=n, seconds=options.seconds) for name in first}
    found = measuring.in_turns({"": partial(measuring.turn, product, options.seconds)} | turns, options.rounds)
    ceiling = (found.pop(""), flop)
    mflop = n * MFLOP if do == "sampling" else None  # training: more in some libraries than in others
    rows = {
        name: measuring.timed(timing, "one", ceiling=ceiling, mflop=mflop, first_s=first[name], size={"elements": n})
        for name, timing in found.items()
    }
    others = [name for name in found if name != OURS]
    return rows | {f"times-{name}": asking.ratio(found[name], found[OURS]) for name in others}, left_out
