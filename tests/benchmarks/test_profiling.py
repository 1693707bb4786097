"""Operations are found with their launches, their loop and their place in the package."""

import jax
import jax.numpy as jnp

from benchmarks import profiling, subject
from calojax.nn import dense

TURNS = 7


def test_operations_of_a_loop_are_launched_as_often_as_it_turns():
    layer, x = dense.init(jax.random.key(0), 64, 64), jnp.ones((64, 256))

    def turns(x):
        return jax.lax.scan(lambda x, _: (jnp.tanh(dense.apply(layer, x)), None), x, None, length=TURNS)[0]

    compiled = jax.jit(turns).lower(x).compile()
    found = profiling.operations(compiled, lambda: compiled(x), repeats=3)
    [product] = [each for each in found if each.product]
    assert product.launches == TURNS and product.loop and product.microseconds > 0
    assert product.frames[0].startswith("nn/dense.py:")


def test_frames_of_the_package_tell_the_stage():
    frames = ["nn/dense.py:47", "systems/pyramid/stages/ringlist.py:7", "systems/pyramid/stages/cells.py:9"]
    assert subject.stage(frames) == "cells"
    assert subject.stage(["nn/dense.py:47", "systems/pyramid/noise.py:3"]) is None
