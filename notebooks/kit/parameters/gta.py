"""The parameters of the GTA chapter: what a run of it may change."""

from typing import ClassVar, Literal

from notebooks.kit.parameters.chapter import ChapterParameters, Count
from vidattn.training.validation import FrozenList


class Parameters(ChapterParameters):
    """The parameters of the chapter's notebook `gta`, beside those of every chapter.

    Args:
        frames: T, how many frames a clip has at the block's place, which the learned
            matrices fix.
        groups: G, channel groups, and as many heads.
        cross_channel: Heads that mix the groups; else plain multi-head.
        paths: Which of the two paths the block has.
        regions: K, regions of a frame; None: an eighth of the channels.
        spatial: Begin with spatial attention.
    """

    chapter: ClassVar[str] = "gta"
    kind: ClassVar[str] = "global_temporal_attention"

    frames: Count
    groups: Count
    cross_channel: bool
    paths: FrozenList[Literal["pixel", "region"]]
    regions: Count | None
    spatial: bool
