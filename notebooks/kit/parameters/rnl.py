"""The parameters of the RNL chapter: what a run of it may change."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from notebooks.kit.parameters.chapter import ChapterParameters
from vidattn.training.validation import FrozenList

Share = Annotated[float, Field(ge=0, le=1)]


class Parameters(ChapterParameters):
    """The parameters of `notebooks/rnl.py`, beside those of every chapter.

    Args:
        kernel: Size (T, H, W) of the region, each odd.
        form: The pairwise function f.
        region: How F_theta sums a region up.
        noise: Further standard deviations of the pixel noise at which the live networks
            are tested, 1 being the full range of a pixel; for synthetic clips.
    """

    chapter: ClassVar[str] = "rnl"
    kind: ClassVar[str] = "region"

    kernel: FrozenList[int]
    form: Literal["gaussian", "dot_product", "cosine"]
    region: Literal["conv", "avg", "max"]
    noise: FrozenList[Share]
