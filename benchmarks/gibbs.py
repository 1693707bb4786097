"""How fast the chains of the Boltzmann prior are, and how much faster than a plain loop on PyTorch in the same rounds.

512 nodes in each of four partitions, of which the first is clamped; masked to the couplings of the Zephyr graph, or
all of them ("full"), these also with bfloat16 halves of the weights ("halves"); 1, 512 and 5,000 chains. The loop
multiplies whole matrices, masked or not, as the originals do. A call makes some sweeps, and what is done once for all
sweeps (weights gathered, the clamped partition's products) is in its time. The ceiling of full machines is one product
of the same sizes; on a GPU, of large ones. float32.
"""

import math
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import machine, measuring
from benchmarks.peers import asking, boltzmann
from benchmarks.peers.asking import OURS
from benchmarks.running import Options
from calojax.nn.boltzmann import gibbs, neighbours, zephyr
from calojax.nn.boltzmann.machine import Machine, masked

LOOP = "pytorch"
PEERS = {LOOP: "benchmarks.peers.torch_gibbs:Gibbs"}
NODES = 512
SWEEPS = {1: 500, 512: 50, 5000: 10}  # of a call, by the number of chains
OF_A_SHOWER = (500, 3000)
CHECKED = 512, 20  # chains and sweeps


class Form(NamedTuple):
    """A machine, ready to be drawn from; products: of matrices with all nodes, for one chain and sweep."""

    params: Machine
    options: dict[str, Any]
    products: int


def run(options: Options) -> dict[str, Any]:
    """Rows FORM/chains=N/calojax and /pytorch in ms per sweep, /rate-..., /times-pytorch, and of ours also
    /shower-of-S-sweeps, ms per shower, S times the time of a sweep."""
    sizes = {1: 20} if options.short else SWEEPS
    n = 64 if options.short else NODES
    mask = zephyr.layout(n).mask
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "mask.npy")
        np.save(path, mask)
        with asking.all_running({} if options.place == "gpu" else PEERS, options.peers) as (peers, left_out):
            if options.place == "gpu":
                left_out[LOOP] = "is measured on one core"
            for name, form in _forms(n, mask).items():
                loops = {} if name == "halves" else peers  # the same as for "full"
                versions = _made(form, loops, n, str(path) if name == "masked" else None)
                for chains, sweeps in sizes.items():
                    rows = _compared(form, loops, chains, sweeps, options)
                    results |= {
                        f"{name}/chains={chains}/{key}": row | versions.get(key, {}) for key, row in rows.items()
                    }
    return {"results": results, "left_out": left_out}


def _forms(n: int, mask: np.ndarray) -> dict[str, Form]:
    full = Machine(*map(jnp.asarray, boltzmann.machine(n)))
    return {
        "masked": Form(masked(full, jnp.asarray(mask)), {"lists": neighbours.of(mask)}, 0),
        "full": Form(full, {}, 6 * n * n),
        "halves": Form(full, {"narrow": True}, 2 * 6 * n * n),
    }


def _made(form: Form, peers: Mapping[str, asking.Peer], n: int, mask: str | None) -> dict[str, Any]:
    """What is known of the peers; raises where their nodes are 1 more or less often than ours."""
    about = {name: {"versions": peer.versions} | peer.ask("make", n=n, mask=mask) for name, peer in peers.items()}
    chains, sweeps = CHECKED
    mean = lambda v: float(jnp.mean(v[:, 1:].astype(jnp.float32)))
    ours = mean(_call(form, chains, sweeps)())
    for name, peer in peers.items():
        theirs = peer.ask("mean", chains=chains, sweeps=sweeps)["mean"]
        if abs(theirs - ours) > 5 / np.sqrt(2 * chains * 3 * n):
            raise ValueError(f"nodes are 1 with a share of {ours:.5f} here and {theirs:.5f} in {name}")
        about[name] |= {"checked": {"mean": theirs, "ours": ours}}
    return about


def _call(form: Form, chains: int, sweeps: int):
    v = jnp.asarray(boltzmann.start(chains, form.params.biases.shape[1]))
    keys = jax.random.split(jax.random.key(0), chains)
    draw = jax.jit(lambda params, v, keys: gibbs.sample(params, v, keys, sweeps, **form.options))
    return lambda: draw(form.params, v, keys)


def _compared(form: Form, peers: Mapping[str, asking.Peer], chains: int, sweeps: int, options: Options):
    """Rows by name, all in the same rounds."""
    n, kind = form.params.biases.shape[1], "bfloat16" if form.options.get("narrow") else "float32"
    shape = machine.ON_A_GPU if options.place == "gpu" else (min(chains, 512), 2 * n, n)
    products = {"ceiling": machine.product("float32")[0], "own": machine.product(kind, shape)[0]}
    call = _call(form, chains, sweeps)
    for one in (*products.values(), call):  # compiled
        measuring.turn(one, 0.0)
    size = {"chains": chains, "sweeps": sweeps}
    turns = {name: partial(measuring.turn, one, options.seconds) for name, one in ({OURS: call} | products).items()}
    turns |= {
        name: partial(asking.turn, peer, "sampling", **size, seconds=options.seconds) for name, peer in peers.items()
    }
    found = measuring.in_turns(turns, options.rounds)
    ceiling, own = (found.pop("ceiling"), machine.FLOP), (found.pop("own"), 2.0 * math.prod(shape))
    row = partial(measuring.timed, place=options.place, ceiling=ceiling, size=size)
    mflop = 2e-6 * form.products * chains if form.products else None
    rows = {OURS: row(found[OURS], unit="ms per sweep", factor=1e3 / sweeps, own_ceiling=own, mflop=mflop)}
    rows |= {name: row(found[name], unit="ms per sweep", factor=1e3 / sweeps) for name in peers}
    for name in (OURS, *peers):
        rates = measuring.spread(1e3 * chains / ms for ms in rows[name]["value"]["rounds"])
        rows[f"rate-{name}"] = measuring.row(rates, "chain-sweeps per second", "more")
    rows |= {f"times-{name}": asking.ratio(found[name], found[OURS]) for name in peers}
    for count in OF_A_SHOWER:
        factor = 1e3 / sweeps / chains * count
        rows[f"shower-of-{count}-sweeps"] = row(found[OURS], unit="ms per shower", factor=factor)
    return rows
