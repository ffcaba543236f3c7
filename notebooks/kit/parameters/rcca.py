"""The parameters of the RCCA-3D chapter: what a run of it may change."""

from typing import ClassVar

from notebooks.kit.parameters.chapter import ChapterParameters, Count
from vidattn.blocks.crisscross import Structure


class Parameters(ChapterParameters):
    """The parameters of `notebooks/rcca.py`, beside those of every chapter.

    Args:
        passes: R, how often the criss-cross attention is applied.
        structure: What each pass is added to.
        gamma: What the scalar gamma starts at.
        reduction: C / C', how much narrower queries and keys are than the features.
    """

    chapter: ClassVar[str] = "rcca"
    kind: ClassVar[str] = "recurrent_crisscross"

    passes: Count
    structure: Structure
    gamma: float
    reduction: Count
