"""What the layers of the ATLAS calorimeter are called: the numbers and names of its samplings."""

NAMES = (
    *("PreSamplerB", "EMB1", "EMB2", "EMB3"),
    *("PreSamplerE", "EME1", "EME2", "EME3"),
    *("HEC0", "HEC1", "HEC2", "HEC3"),
    *("TileBar0", "TileBar1", "TileBar2"),
    *("TileGap1", "TileGap2", "TileGap3"),
    *("TileExt0", "TileExt1", "TileExt2"),
    *("FCAL0", "FCAL1", "FCAL2"),
)


def name(layer: int) -> str:
    """Such as `12 TileBar0`; the number alone for a layer that is none of them."""
    return f"{layer} {NAMES[layer]}" if layer < len(NAMES) else str(layer)
