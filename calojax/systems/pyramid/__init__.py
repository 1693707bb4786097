"""The calorimeter pyramid: which cells of a shower are hit, stage by stage, then their energies.

layers <- rings <- cells: each stage takes the hit parents of the stage above, how many of their children are hit, and
which. A fourth stage divides the energy along the same tree. Source: the poster "The Calorimeter Pyramid" (S. Schnake,
D. Kruecker, B. Kaech, M. Scham, K. Borras); what is the poster's and what is ours: docs/pyramid.md.

Letters: T showers of a tile, L layers, R rings of a layer (at most), N rings of the detector, A cells of a ring (at
most), M neighbours of a ring, E hit rings of the tile in a flat list, G = T L layers of the tile in a flat list.
"""
