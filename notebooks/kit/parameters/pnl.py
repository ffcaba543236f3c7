"""The parameters of the PNL chapter: what a run of it may change."""

from typing import ClassVar

from notebooks.kit.parameters.chapter import ChapterParameters
from vidattn.blocks.nonlocal_ import Form
from vidattn.blocks.pyramid import Combine


class Parameters(ChapterParameters):
    """The parameters of `notebooks/pnl.py`, beside those of every chapter.

    Args:
        scales: n, the number of scales, 1 to 4.
        form: The pairwise function f.
        shared: One theta, phi, g and W_z for all scales.
        combine: f_comb: `"attention"` or `"concat"`.
    """

    chapter: ClassVar[str] = "pnl"
    kind: ClassVar[str] = "pyramid"

    scales: int
    form: Form
    shared: bool
    combine: Combine
