"""What a function computes, counted in its jaxpr: FLOP of products and convolutions, and transcendental functions.

XLA's own analysis counts the body of a loop once, however often it runs. Here a scan counts as often as it is long, and
a while loop as often as the data make it run, which is found out by running it; of the branches of a condition the
largest counts. Products are 2 FLOP for each multiplication and addition.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import jax
from jax.extend import core

_TRANSCENDENTAL = frozenset(
    ("exp", "exp2", "expm1", "log", "log1p", "logistic", "tanh", "sin", "cos", "erf", "erf_inv", "pow", "lgamma")
)
_FAST: dict[str, str | bool] = {
    "xla_backend_optimization_level": "0"
}  # to compile: the run that counts turns is not timed

Place = Callable[[list[str]], str | None]


def of(function: Callable, *args: Any, place: Place = lambda files: None) -> dict[str, Counter]:
    """{place: Counter of "products" (FLOP), "transcendentals"} of a call; place "" is all of it.

    place: name of the part of the program that the files of a traceback, innermost first, are of, if it has one.
    """
    closed = jax.make_jaxpr(function)(*args)
    turns = _turns(closed, jax.tree.leaves(args))
    found: dict[str, Counter] = {"": Counter()}
    _walk(closed.jaxpr, 1, None, iter(turns), place, found)
    return found


def xla(compiled: Any) -> dict[str, float]:
    """XLA's own analysis of a compiled function, named for what it is: loop bodies counted once."""
    said = compiled.cost_analysis()
    said = said[0] if isinstance(said, list) else said
    return {"xla_flop_bodies_once": said.get("flops", 0.0), "xla_bytes_bodies_once": said.get("bytes accessed", 0.0)}


def _walk(jaxpr, times: float, where: str | None, turns: Iterator[float], place: Place, found: dict) -> None:
    for eqn in jaxpr.eqns:
        here = where or place(_files(eqn.source_info.traceback))
        own = Counter()
        name = eqn.primitive.name
        if name in _PRODUCTS:
            own["products"] = times * _PRODUCTS[name](eqn)
        elif name in _TRANSCENDENTAL:
            own["transcendentals"] = times * math.prod(eqn.outvars[0].aval.shape)
        for key in {"", here or "elsewhere"} if own else ():
            found.setdefault(key, Counter()).update(own)
        if name == "while":
            condition, body = eqn.params["cond_jaxpr"].jaxpr, eqn.params["body_jaxpr"].jaxpr
            rounds = next(turns)
            _walk(condition, rounds + times, here, turns, place, found)
            _walk(body, rounds, here, turns, place, found)
        elif name == "cond":
            _largest([branch.jaxpr for branch in eqn.params["branches"]], times, here, turns, place, found)
        else:
            for inner in core.jaxprs_in_params(eqn.params):
                _walk(inner, times * eqn.params.get("length", 1), here, turns, place, found)


def _files(traceback: Any) -> list[str]:
    return [frame.file_name for frame in traceback.frames] if traceback else []


def _largest(branches, times, where, turns, place, found) -> None:
    counted = []
    for branch in branches:
        counted.append({"": Counter()})
        _walk(branch, times, where, turns, place, counted[-1])
    for key, own in max(counted, key=lambda of: of[""]["products"]).items():
        found.setdefault(key, Counter()).update(own)


def _product(eqn) -> float:
    (contracted, _), _ = eqn.params["dimension_numbers"]
    inner = math.prod(eqn.invars[0].aval.shape[axis] for axis in contracted)
    return 2.0 * inner * math.prod(eqn.outvars[0].aval.shape)


def _convolution(eqn) -> float:
    """What is multiplied with zeros of the padding or between cells counts, too."""
    kernel, channels = eqn.invars[1].aval.shape, eqn.params["dimension_numbers"].rhs_spec[0]
    return 2.0 * math.prod(kernel) / kernel[channels] * math.prod(eqn.outvars[0].aval.shape)


_PRODUCTS = {"dot_general": _product, "conv_general_dilated": _convolution}


def _turns(closed: core.ClosedJaxpr, args: list[Any]) -> list[float]:
    """How often the body of every while loop runs in all, in the order in which `_walk` comes by them."""
    if not _loops(closed.jaxpr):
        return []
    run = jax.jit(lambda *args: _evaluated(closed.jaxpr, closed.consts, args)[1])
    compiled = run.lower(*args).compile(compiler_options=_FAST)
    return [float(turns) for turns in compiled(*args)]


def _loops(jaxpr) -> int:
    """While loops in it, at any depth."""
    return sum((eqn.primitive.name == "while") + _loops_of(eqn) for eqn in jaxpr.eqns)


def _loops_of(eqn) -> int:
    return sum(map(_loops, core.jaxprs_in_params(eqn.params)))


def _evaluated(jaxpr, consts, args) -> tuple[list[Any], list[Any]]:
    """What it gives, and the turns of every while loop in it."""
    known = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *args], strict=True))
    read = lambda variables: [v.val if isinstance(v, core.Literal) else known[v] for v in variables]
    turns: list[Any] = []
    for eqn in jaxpr.eqns:
        name, given = eqn.primitive.name, read(eqn.invars)
        if name == "while" or _loops_of(eqn):
            out, own = _EVALUATE.get(name, _call)(eqn.params, given)
        else:
            out, own = _plain(eqn, given), []
        turns += own
        known |= zip(eqn.outvars, out, strict=True)
    return read(jaxpr.outvars), turns


def _plain(eqn, given: list[Any]) -> list[Any]:
    bound = eqn.primitive.get_bind_params(eqn.params)
    inner, params = bound if isinstance(bound, tuple) else ((), bound)  # by version of JAX
    out = eqn.primitive.bind(*inner, *given, **params)
    return out if eqn.primitive.multiple_results else [out]


def _while(params: dict[str, Any], given: list[Any]) -> tuple[list[Any], list[Any]]:
    condition, body = params["cond_jaxpr"], params["body_jaxpr"]
    of_condition, of_both = params["cond_nconsts"], params["cond_nconsts"] + params["body_nconsts"]

    def going_on(state):
        return _evaluated(condition.jaxpr, condition.consts, [*given[:of_condition], *state[2]])[0][0]

    def once(state):
        done, inside, values = state
        values, own = _evaluated(body.jaxpr, body.consts, [*given[of_condition:of_both], *values])
        return done + 1, [a + b for a, b in zip(inside, own, strict=True)], values

    done, inside, values = jax.lax.while_loop(going_on, once, (0, [0] * _loops(body.jaxpr), given[of_both:]))
    return values, [done, *inside]


def _scan(params: dict[str, Any], given: list[Any]) -> tuple[list[Any], list[Any]]:
    body, fixed, carried = params["jaxpr"], params["num_consts"], params["num_carry"]

    def once(carry, x):
        out, own = _evaluated(body.jaxpr, body.consts, [*given[:fixed], *carry, *x])
        return out[:carried], (out[carried:], own)

    start, xs = given[fixed : fixed + carried], given[fixed + carried :]
    carry, (ys, turns) = jax.lax.scan(once, start, xs, length=params["length"], reverse=params["reverse"])
    return [*carry, *ys], [each.sum() for each in turns]


def _call(params: dict[str, Any], given: list[Any]) -> tuple[list[Any], list[Any]]:
    """A function within: jitted, checkpointed, or with a derivative of its own."""
    found = [value for value in params.values() if isinstance(value, core.ClosedJaxpr | core.Jaxpr)]
    if len(found) != 1:
        raise NotImplementedError(f"a while loop inside {sorted(params)}")
    closed = isinstance(found[0], core.ClosedJaxpr)
    return _evaluated(found[0].jaxpr if closed else found[0], found[0].consts if closed else [], given)


_EVALUATE = {"while": _while, "scan": _scan}
