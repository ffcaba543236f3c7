"""Compositions of GTA's block after spatial attention, and what networks with them
cost: where the page of costs searches for one that gives the printed costs.
"""

from collections.abc import Iterator
from itertools import product
from typing import Any, NamedTuple

from notebooks.kit.printed.metrics import Amount

# Frames, and for res3 and res4 how many blocks, C and positions.
PLACES = {
    "R2D": (8, ((2, 512, 6272), (3, 1024, 1568))),
    "SlowFast": (16, ((2, 512, 16384), (3, 1024, 4096))),
}
FRACTIONS = {f"C/{n}" if n > 1 else "C": n for n in (1, 2, 4, 8, 16, 32, 64)}
REGIONS = (*FRACTIONS, "4", "8", "16", "32", "64", "128")


class Composition(NamedTuple):
    """One composition.

    Attributes:
        first: C over the width of a convolution that all share; 0: there is none.
        over: C over the width of the values.
        pixel: The pixels have a value of their own.
        reads: What W_G reads: `"X"`, the pixels' `"V"` or the `"first"` convolution.
        region: Where the regions' value comes from.
        k: Number of regions, a key of `REGIONS`.
        g: Number of groups.
        matrix: What has a matrix of its own: each `"pair"` of group and head, or each
            `"head"`.
        outputs: `"two"`, `"two, one on regions"` or `"one"`.
    """

    first: int
    over: int
    pixel: bool
    reads: str
    region: str
    k: str
    g: int
    matrix: str
    outputs: str

    @property
    def possible(self) -> bool:
        """Whether it has what it names, and under one name only."""
        nothing = (self.reads == "first" and not self.first) or (
            not self.pixel and (self.reads == "V" or self.region == "W_V of pixels")
        )
        of_values = self.region in ("V's regions", "on V's regions", "none")
        one_head_twice = self.g == 1 and self.matrix == "head"
        one_width_twice = not self.pixel and self.over > 1 and of_values
        return not (nothing or one_head_twice or one_width_twice)

    def block(self, c: int, n: int, t: int) -> tuple[int, int] | None:
        """Return the multiply-adds and the weights of a block at C channels and N
        positions in T frames, without its matrices; None if widths clash.
        """
        source, width = c // self.first if self.first else c, c // self.over
        k = c // FRACTIONS[self.k] if self.k in FRACTIONS else int(self.k)
        v = width if self.pixel else source  # width of the pixels' values
        gathered, r = {  # width of what regions gather, and of their values
            "on places": (width, width),
            "V's regions": (v, v),
            "on V's regions": (v, v),
            "none": (source, source),
        }.get(self.region, (source, width))
        if self.outputs == "one" and v != r:
            return None
        regions = t * k
        weights = [  # at how many positions each is used
            (n, c * source if self.first else 0),
            (n, source * width if self.pixel else 0),
            (n, {"X": c, "V": v, "first": source}[self.reads] * k),
            (n, source * width if self.region == "on places" else 0),
            (regions, source * width if self.region == "on regions" else 0),
            (regions, v * v if self.region == "on V's regions" else 0),
            (n, v * c),
        ]
        on_regions = "regions" in self.outputs
        if self.outputs != "one":
            weights.append((regions if on_regions else n, r * c))
        back = c if on_regions else r
        mixed = t * (n * v + regions * r) * (self.g if self.matrix == "pair" else 1)
        shared = regions * source * width if self.region == "W_V of pixels" else 0
        macs = sum(at * own for at, own in weights) + n * k * (gathered + back)
        return macs + mixed + shared, sum(own for _, own in weights)

    def added(self, name: str) -> Amount | None:
        """Return what the blocks of a network add, a key of `PLACES`, matrices and
        normalisations left out; None if widths clash.
        """
        frames, places = PLACES[name]
        macs, params = 0, 0
        for number, c, n in places:
            own = self.block(c, n, frames)
            if own is None:
                return None
            macs, params = macs + number * own[0], params + number * own[1]
        return Amount(macs / 1e9, params / 1e6)

    def matrices(self, frames: int) -> float:
        """Return how many parameters the matrices of one path hold, in 10^6."""
        heads = self.g**2 if self.matrix == "pair" else self.g
        return 5 * heads * frames**2 / 1e6


OPTIONS: dict[str, tuple[Any, ...]] = {
    "first": (0, 2, 4, 8, 16),
    "width": (1, 2, 4, 8, 16),
    "pixel value": (True, False),
    "W_G reads": ("X", "V", "first"),
    "region value": (
        "on places",
        "on regions",
        "V's regions",
        "on V's regions",
        "none",
        "W_V of pixels",
    ),
    "K": REGIONS,
    "G": (1, 2, 4, 8, 16),
    "a matrix for each": ("pair", "head"),
    "outputs": ("two", "two, one on regions", "one"),
}


def compositions() -> Iterator[Composition]:
    """Return all compositions that are possible."""
    ways = (Composition(*options) for options in product(*OPTIONS.values()))
    return (way for way in ways if way.possible)
