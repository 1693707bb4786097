"""One module for each stage and level, with `init`, `draw`, and the log probability of true showers (teacher forcing).

What they share is in `grid` (layers and rings), `ringlist` (hit rings and their cells) and `shares`.
"""
