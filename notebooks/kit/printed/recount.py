"""The network of a row, and what it costs."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

from torch import nn

from notebooks.kit.printed.metrics import Amount
from notebooks.kit.printed.networks import BARE, MakeBlock
from notebooks.kit.printed.thop import Convention, count
from vidattn.backbones import BACKBONES, place
from vidattn.cost import Cost


class Backbone(NamedTuple):
    """A network without blocks.

    Attributes:
        kind: A key of `networks.BARE` or of `vidattn.backbones.BACKBONES`.
        temporal: How the latter mixes frames.
        frames: Frames of a clip.
        side: Height and width of a clip in pixels.
        inner: Frames where blocks may stand.
        width: C of stage n (res2, conv3, ...) over 2^n; a map has `side` / 2^n rows and
            columns there.
    """

    kind: str
    temporal: str = "none"
    frames: int = 8
    side: int = 224
    inner: int = 8
    width: int = 64

    def build(self, classes: int) -> nn.Module:
        """Return the network for a number of classes."""
        if self.kind in BARE:
            return BARE[self.kind](classes)
        return BACKBONES[self.kind](num_classes=classes, temporal=self.temporal)


@dataclass(frozen=True)
class RowNetwork:
    """What the network of a row is taken to be.

    Attributes:
        backbone: The network without blocks.
        make: Makes a block for a number of channels; None: there is none.
        at: For each stage, by its name or n, how many blocks it has, or after which of
            its own they stand.
        classes: Number of classes.
        convention: How it is counted.
    """

    backbone: Backbone
    make: MakeBlock | None = None
    at: Mapping[Any, Any] = field(default_factory=dict)
    classes: int = 400
    convention: Convention = "all"

    @property
    def clip(self) -> tuple[int, ...]:
        """Shape of one clip, (1, 3, T, H, W)."""
        return 1, 3, self.backbone.frames, self.backbone.side, self.backbone.side

    def build(self) -> nn.Module:
        """Return the whole network; it must be said after which blocks its own
        stand.
        """
        model = self.backbone.build(self.classes)
        return model if self.make is None else place(model, self.at, self.make)

    def parts(self, convention: Convention | None = None) -> list[tuple[int, Cost]]:
        """Return what the backbone and a block of each stage cost, each with how many
        there are of it.
        """
        backbone, way = self.backbone, convention or self.convention
        given = backbone, self.classes
        found = [(1, recount(Backbone.build, given, self.clip, way))]
        if self.make is None:
            return found
        for stage, blocks in self.at.items():
            n = int(str(stage)[-1])
            number = blocks if isinstance(blocks, int) else len(blocks)
            side, channels = backbone.side >> n, backbone.width << n
            shape = (1, channels, backbone.inner, side, side)
            found.append((number, recount(self.make, (channels,), shape, way)))
        return found

    def amount(self, convention: Convention | None = None) -> Amount:
        """Return its MACs and parameters."""
        parts = self.parts(convention)
        return Amount(
            sum(number * (cost.macs / 1e9) for number, cost in parts),
            sum(number * (cost.params / 1e6) for number, cost in parts),
        )

    def by_kind(self, convention: Convention | None = None) -> Counter[str]:
        """Return its MACs of each kind of operation."""
        kinds = Counter[str]()
        for number, cost in self.parts(convention):
            kinds.update({kind: number * macs for kind, macs in cost.by_kind.items()})
        return kinds

    def products(self) -> int:
        """Return its MACs of products of two activations, which no module does."""
        kinds = self.by_kind("all")
        weights = self.by_kind("modules, linear layers once")["linear"]
        return kinds["attention"] + kinds["matmul"] - weights


@cache
def recount(
    build: Callable[..., nn.Module],
    given: tuple[Any, ...],
    shape: tuple[int, ...],
    convention: Convention,
) -> Cost:
    """Return what a model costs: every recomputed cost is made of such counts.

    Args:
        build: Makes the model.
        given: What of: the number of channels, or the backbone and the number of
            classes.
        shape: Shape of the input.
        convention: as for `thop.count`.
    """
    return count(lambda: build(*given), shape, convention)
