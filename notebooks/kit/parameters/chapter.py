"""What the parameters of all chapters share, and what is refused before a run of a
chapter starts.
"""

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field

from vidattn.backbones import BACKBONES, place
from vidattn.blocks import block_options, make_block
from vidattn.errors import UserError
from vidattn.training.validation import FrozenList, Part
from vidattn.yamlfile import read_yaml

LEDGERS = Path(__file__).resolve().parents[3] / "book" / "ledgers"

Count = Annotated[int, Field(ge=1)]


class ChapterParameters(Part):
    """The parameters that every chapter has. A chapter adds options of its paper's
    block, by their names.

    Attributes:
        chapter: Name of the chapter, and of its ledger.
        kind: The paper's block, a key of `vidattn.blocks.BLOCKS`.

    Args:
        scale: `"smoke"`, `"reduced"` or `"full"`.
        places: For each stage the numbers of the blocks, counting from 1, after which
            the paper's block stands.
        backbone: A key of `vidattn.backbones.BACKBONES`.
        data: Folder of video files with `train.csv` and `val.csv`; None: synthetic
            clips. Scale `"full"` needs one.
        variants: Networks that are trained live, by their names in the chapter's
            ledger.
        seeds: Number of seeds of each of them.
        epochs: Passes over the training clips.
    """

    chapter: ClassVar[str]
    kind: ClassVar[str]

    scale: Literal["smoke", "reduced", "full"]
    places: dict[str, FrozenList[int]]
    backbone: str
    data: str | None
    variants: FrozenList[str]
    seeds: Count
    epochs: Count

    def options(self) -> dict[str, Any]:
        """Return the parameters that are options of the paper's block."""
        names = block_options(self.kind)
        return {
            name: value
            for name, value in self.model_dump(mode="json").items()
            if name in names
        }

    def check(self) -> None:
        """Refuse what types alone cannot, within seconds.

        Raises:
            ValueError: The block is impossible, it does not fit the backbone, a variant
                is not described, or the data folder is missing; one line that names the
                parameter and says what is allowed.
        """
        block = make_block(self.kind, **self.options())
        ledger = read_yaml(
            LEDGERS
            / (f"{self.chapter}_full.yaml" if self.data else f"{self.chapter}.yaml")
        )
        if self.backbone not in BACKBONES:
            raise UserError(
                f"backbone: {self.backbone!r} is unknown: allowed are {', '.join(BACKBONES)}"
            )
        if not any(self.places.values()):
            raise UserError(
                "places: at least one place for a block is needed, such as {res3: [2]}"
            )
        checked = "backbone"
        try:
            with torch.device("meta"):
                model = BACKBONES[self.backbone](
                    temporal=ledger["base"]["model"].get("temporal", "none")
                )
                checked = "places"
                place(model, self.places, block)
        except ValueError as error:
            raise UserError(f"{checked}: {error}, in {self.backbone}") from None
        for name in self.variants:
            if name not in ledger["variants"]:
                raise UserError(
                    f"variants: {name!r} is unknown: allowed are {', '.join(ledger['variants'])}"
                )
        if self.data is None and self.scale == "full":
            raise UserError(
                "data: scale 'full' needs a folder of videos with train.csv and val.csv"
            )
        if self.data is not None and not Path(self.data).is_dir():
            raise UserError(
                f"data: there is no folder {self.data!r}: allowed is a folder that exists"
            )
        for index in ("train.csv", "val.csv") if self.data is not None else ():
            if not (Path(self.data or "") / index).is_file():
                raise UserError(
                    f"data: {self.data} holds no {index}; needed are train.csv and val.csv"
                )
