import pytest
import torch
from torch import nn

from vidattn.backbones import insertion, place, resnet50, resnet_mini, slowfast_mini
from vidattn.backbones.place import placed_parameters
from vidattn.errors import UserError


class Add(nn.Module):
    def __init__(self, channels: int, amount: float = 1.0) -> None:
        super().__init__()
        self.amount = nn.Parameter(torch.full((channels, 1, 1, 1), amount))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.amount


def test_blocks_stand_after_the_named_blocks_with_the_stage_s_channels() -> None:
    with torch.device("meta"):
        model = resnet50()
    assert place(model, {"res3": (1, 3), "res4": (1, 3, 5)}, Add) is model
    assert list(model.res3.placed) == ["1", "3"] and list(model.res4.placed) == [
        "1",
        "3",
        "5",
    ]
    assert insertion(model, "res3", 3).amount.shape[0] == 512
    assert insertion(model, "res4", 5).amount.shape[0] == 1024
    assert insertion(model, "res4", 5).amount.device.type == "meta"


def test_a_placed_block_runs_where_it_stands() -> None:
    torch.manual_seed(0)
    model = resnet_mini(num_classes=3).double().eval()
    x = torch.randn(1, 96, 2, 4, 4, dtype=torch.float64)
    x_in = torch.randn(1, 48, 2, 8, 8, dtype=torch.float64)
    first, second = model.res3.blocks
    plain = model.res3(x_in)
    place(model, {"res3": (1,)}, lambda channels: Add(channels, 0.5))
    assert insertion(model, "res3", 1).amount.dtype == torch.float64
    assert torch.equal(model.res3(x_in), second(first(x_in) + 0.5))
    place(model, {"res3": (2,)}, lambda channels: Add(channels, -2.0))
    assert torch.equal(model.res3(x_in), second(first(x_in) + 0.5) - 2.0)
    assert not torch.equal(model.res3(x_in), plain)
    assert x.shape[1] == model.res3.channels


def test_the_parameters_of_placed_blocks_are_known_by_name() -> None:
    with torch.device("meta"):
        plain, model = resnet_mini(), resnet_mini()
        two = place(slowfast_mini(), {"slow.res3": (1,), "fast.res4": (1,)}, Add)
    assert placed_parameters(plain) == set()
    place(model, {"res3": (1,), "res4": (1,)}, Add)
    own = {name for name, _ in model.named_parameters()} - set(plain.state_dict())
    assert placed_parameters(model) == own and len(own) == 2
    names = ("slow.res3.placed.1.amount", "fast.res4.placed.1.amount")
    assert placed_parameters(two) == set(names)


@pytest.mark.parametrize(
    ("places", "message"),
    [
        ({"res6": (1,)}, "no stage 'res6': allowed are res2, res3, res4, res5"),
        ({"res3": (3,)}, "res3 has no block 3: allowed are 1 to 2"),
        ({"res3": (0,)}, "res3 has no block 0: allowed are 1 to 2"),
        ({"res3": (1, 1)}, "res3 already has a block after block 1"),
        ({"res2": (1,)}, "res2 already has a block after block 1"),
        ({"res3": (1,), "res4": (2,)}, "res4 has no block 2: allowed are 1 to 1"),
    ],
)
def test_a_wrong_place_is_one_line_and_changes_nothing(
    places: dict[str, tuple[int, ...]], message: str
) -> None:
    model = place(resnet_mini(), {"res2": (1,)}, Add)
    with pytest.raises(UserError, match=message) as error:
        place(model, places, Add)
    assert "\n" not in str(error.value)
    assert [
        list(s.placed) for s in (model.res2, model.res3, model.res4, model.res5)
    ] == [["1"], [], [], []]


def test_insertion_names_the_places_that_are_taken() -> None:
    model = place(resnet_mini(), {"res3": (2,)}, Add)
    with pytest.raises(
        UserError,
        match="res3 has nothing placed after block 1: places with a block are 2",
    ):
        insertion(model, "res3", 1)
