"""The parameter of the page that compares all blocks."""

from typing import Annotated

from pydantic import Field

from vidattn.training.validation import Part


class Parameters(Part):
    """The parameter of the notebook `counting_blocks`.

    Args:
        rounds: How often each pass is measured, the results being recorded; 0: show
            what is recorded.
    """

    rounds: Annotated[int, Field(ge=0)]
