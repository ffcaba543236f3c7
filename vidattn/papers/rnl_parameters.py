"""The parameters of the RNL chapter: what a run of it may change, and what is refused before it starts."""

from pathlib import Path
from typing import Annotated, Literal

import torch
from pydantic import Field

from vidattn.backbones import BACKBONES, place
from vidattn.blocks import make_block
from vidattn.errors import UserError
from vidattn.training.validation import FrozenList, Part
from vidattn.yamlfile import read_yaml

LEDGER = Path(__file__).resolve().parents[2] / "book" / "ledgers" / "rnl.yaml"
FULL_LEDGER = LEDGER.with_name("rnl_full.yaml")

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]


class Parameters(Part):
    """The parameters of `notebooks/rnl.py`.

    Args:
        scale: `"smoke"`, `"reduced"` or `"full"`.
        kernel: Size (T, H, W) of the region, each odd.
        form: The pairwise function f.
        region: How F_theta sums a region up.
        places: For each stage the numbers of the blocks, counting from 1, after which an RNL block stands.
        backbone: A key of `vidattn.backbones.BACKBONES`.
        data: Folder of video files with `train.csv` and `val.csv`; None: synthetic clips. Scale `"full"`
            needs one.
        noise: Further standard deviations of the pixel noise at which the live networks are tested, 1 being
            the full range of a pixel; for synthetic clips.
        variants: Networks that are trained live, by their names in the chapter's ledger.
        seeds: Number of seeds of each of them.
        epochs: Passes over the training clips.
    """

    scale: Literal["smoke", "reduced", "full"]
    kernel: FrozenList[int]
    form: Literal["gaussian", "dot_product", "cosine"]
    region: Literal["conv", "avg", "max"]
    places: dict[str, FrozenList[int]]
    backbone: str
    data: str | None
    noise: FrozenList[Share]
    variants: FrozenList[str]
    seeds: Count
    epochs: Count

    def check(self) -> None:
        """Refuse what types alone cannot, within seconds.

        Raises:
            ValueError: The block is impossible, it does not fit the backbone, a variant is not described, or
                the data folder is missing; one line that names the parameter and says what is allowed.
        """
        block = make_block("region", kernel=list(self.kernel), form=self.form, region=self.region)
        if self.backbone not in BACKBONES:
            raise UserError(f"backbone: {self.backbone!r} is unknown: allowed are {', '.join(BACKBONES)}")
        if not any(self.places.values()):
            raise UserError("places: at least one place for a block is needed, such as {res3: [2]}")
        try:
            with torch.device("meta"):
                place(BACKBONES[self.backbone](), self.places, block)
        except ValueError as error:
            raise UserError(f"places: {error}, in {self.backbone}") from None
        known = read_yaml(FULL_LEDGER if self.data else LEDGER)["variants"]
        for name in self.variants:
            if name not in known:
                raise UserError(f"variants: {name!r} is unknown: allowed are {', '.join(known)}")
        if self.data is None and self.scale == "full":
            raise UserError(
                "data: scale 'full' needs a folder of videos with its train.csv and val.csv, none is given"
            )
        if self.data is not None and not Path(self.data).is_dir():
            raise UserError(f"data: there is no folder {self.data!r}: allowed is a folder that exists")
        for index in ("train.csv", "val.csv") if self.data is not None else ():
            if not (Path(self.data or "") / index).is_file():
                raise UserError(f"data: {self.data} holds no {index}; needed are train.csv and val.csv")
