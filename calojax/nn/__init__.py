"""Building blocks with mathematics of their own.

Everything here is a pure function of parameters, arrays and keys. Arrays are feature-major: features first,
elements last, because XLA vectorises long last axes and loses time in reductions over short ones. Maps of a cylinder
(`cylinder_conv`, `maps`, `attention`) are channels-last, as convolutions want them.

Letters: E elements (hit layers, hit rings, ... of all showers of a tile, one after another), D dimensions of an
element, F features, H hidden width, K spline bins, n subcells of a parent, T showers of a tile.
"""
