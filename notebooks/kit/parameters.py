"""The parameters of a chapter: what a run of it may change, and what is refused before
it starts.
"""

import pkgutil
from collections.abc import Iterable
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, ClassVar, Literal, get_origin, get_type_hints

import torch
from pydantic import Field, create_model

from vidattn.backbones import BACKBONES, place
from vidattn.blocks import BLOCKS, block_options, make_block
from vidattn.errors import UserError
from vidattn.training.validation import FrozenList, Part
from vidattn.yamlfile import read_yaml

ROOT = Path(__file__).resolve().parents[2]

Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]


class ChapterParameters(Part):
    """The parameters that every chapter has; options of its paper's block are added to
    them by `chapter_parameters`, under their names in `vidattn.blocks`.

    Attributes:
        chapter: Name of the chapter, and of its ledger.
        block: The paper's block, a key of `vidattn.blocks.BLOCKS`.
        full: Who describes the chapter's networks at the paper's own scale:
            'module:function', a function of the chapter's name and the data folder
            that returns an `Experiment` for each variant; None: nobody.

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
        noise: Further standard deviations of the pixel noise at which the live networks
            are tested, 1 being the full range of a pixel; for synthetic clips.
    """

    chapter: ClassVar[str]
    block: ClassVar[str]
    full: ClassVar[str | None]

    scale: Literal["smoke", "reduced", "full"]
    places: dict[str, FrozenList[int]]
    backbone: str
    data: str | None
    variants: FrozenList[str]
    seeds: Count
    epochs: Count
    noise: FrozenList[Share] = ()

    @property
    def options(self) -> dict[str, Any]:
        """The parameters that are options of the paper's block."""
        names = block_options(self.block)
        values = self.model_dump(mode="json")
        return {name: value for name, value in values.items() if name in names}

    def described(self) -> dict[str, Any]:
        """Return the networks that may be trained live, by variant: blocks as the
        ledger has them, or experiments at the paper's own scale.

        Raises:
            UserError: There is no ledger, or nobody describes the chapter's networks
                at the paper's own scale.
        """
        if self.data is None:
            return dict(self._ledger()["variants"])
        if self.full is None:
            raise UserError("data: this chapter has no networks at the full scale")
        networks: dict[str, Any] = pkgutil.resolve_name(self.full)(
            self.chapter, self.data
        )
        return networks

    def check(self) -> None:
        """Refuse what types alone cannot, within seconds.

        Raises:
            UserError: The block is impossible, it does not fit the backbone, a variant
                is not described, or the data folder is missing; one line that names
                the parameter and says what is allowed.
        """
        block = make_block(self.block, **self.options)
        self._check_data()
        if self.backbone not in BACKBONES:
            allowed = ", ".join(BACKBONES)
            raise UserError(
                f"backbone: {self.backbone!r} is unknown: allowed are {allowed}"
            )
        if not any(self.places.values()):
            raise UserError(
                "places: at least one place for a block is needed, such as {res3: [2]}"
            )
        checked = "backbone"
        try:
            with torch.device("meta"):
                model = BACKBONES[self.backbone](temporal=self._temporal())
                checked = "places"
                place(model, self.places, block)
        except ValueError as error:
            raise UserError(f"{checked}: {error}, in {self.backbone}") from None
        described = self.described()
        for name in self.variants:
            if name not in described:
                allowed = ", ".join(described)
                raise UserError(f"variants: {name!r} is unknown: allowed are {allowed}")

    def _ledger(self) -> dict[str, Any]:
        return read_yaml(ROOT / "book" / "ledgers" / f"{self.chapter}.yaml")

    def _temporal(self) -> str:
        if self.data is None:
            return str(self._ledger()["base"]["model"].get("temporal", "none"))
        return str(next(iter(self.described().values())).model.temporal)

    def _check_data(self) -> None:
        if self.data is None:
            if self.scale == "full":
                raise UserError(
                    "data: scale 'full' needs a folder of videos with train.csv and "
                    "val.csv"
                )
            return
        if not Path(self.data).is_dir():
            raise UserError(
                f"data: there is no folder {self.data!r}: allowed is a folder that "
                "exists"
            )
        for index in ("train.csv", "val.csv"):
            if not (Path(self.data) / index).is_file():
                raise UserError(
                    f"data: {self.data} holds no {index}; needed are train.csv and "
                    "val.csv"
                )


def chapter_parameters(
    chapter: str, block: str, full: str | None, names: Iterable[str]
) -> type[ChapterParameters]:
    """Return the model of one chapter's parameters.

    Args:
        chapter: Its name.
        block: The kind of its paper's block.
        full: Who describes its networks at the paper's own scale.
        names: The parameters that its notebook declares. Those that are options of the
            block become fields of the block's own types; the block itself checks their values.
    """
    known, types = block_options(block), get_type_hints(BLOCKS[block].__init__)
    plain = {name: kind for name, kind in types.items() if not _is_container(kind)}
    own = (name for name in names if name in known)
    options: Any = {name: (plain.get(name, Any), ...) for name in own}
    model = create_model("Parameters", __base__=ChapterParameters, **options)
    model.chapter, model.block, model.full = chapter, block, full
    return model


def _is_container(kind: Any) -> bool:
    # A list of a text file is for the block to judge.
    return get_origin(kind) not in (None, Literal, UnionType)


class CountingParameters(Part):
    """The parameter of the notebook `counting_blocks`.

    Args:
        rounds: How often each pass is measured, the results being recorded; 0: show
            what is recorded.
    """

    rounds: Annotated[int, Field(ge=0)]


class OwnBlockParameters(Part):
    """The parameters of the page *A block of your own*.

    Args:
        window: Frames on either side that its block looks at.
        epochs: Passes over the training clips.
        clips: Training clips; a quarter as many are tested.
    """

    window: Count
    epochs: Count
    clips: Annotated[int, Field(ge=64)]
