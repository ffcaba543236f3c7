"""Blocks by name, and the one line that each wrong option gives."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from vidattn.blocks import BLOCKS, NonLocal, RegionNonLocal, make_block


def test_make_block_passes_channels_and_options():
    make = pickle.loads(
        pickle.dumps(make_block("region", form="cosine", kernel=[1, 3, 5], inner=3))
    )
    block = make(8)
    assert isinstance(block, RegionNonLocal)
    assert (block.form, block.f_theta.weight.shape) == ("cosine", (3, 1, 1, 3, 5))
    assert block.out.weight.device.type == "cpu"
    assert make(8) is not block


def test_the_chain_passes_region_options():
    chain = make_block("chain", reduction=4, region="max", norm=False)(8)
    assert chain.squeeze_excite.w_1.weight.shape == (2, 8)
    assert isinstance(chain.region.f_theta, torch.nn.MaxPool3d)
    assert isinstance(chain.region.bn, torch.nn.Identity)


def test_checking_options_draws_no_random_numbers():
    before = torch.get_rng_state()
    for kind in BLOCKS:
        make_block(kind)
    assert torch.equal(torch.get_rng_state(), before)


NOTHING_ELSE = """
import sys
from importlib.machinery import PathFinder

class Without(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name.partition(".")[0] not in ABSENT:
            return super().find_spec(name, path, target)

ABSENT = sys.argv[1].split()
sys.meta_path = [Without if f is PathFinder else f for f in sys.meta_path]
import torch
from vidattn.blocks import BLOCKS, RegionNonLocal, block_options, make_block

for kind in BLOCKS:
    options = {"frames": 2} if "frames" in block_options(kind) else {}
    x = torch.randn(2, 32, 2, 4, 4)
    assert make_block(kind, **options)(32)(x).shape == x.shape, kind
ours = [name for name in sys.modules if name.startswith("vidattn.")]
assert {name.split(".")[1] for name in ours} == {"blocks", "errors"}, ours
"""


def test_blocks_need_torch_and_einops_and_nothing_else():
    absent = "numpy pandas matplotlib seaborn PIL scipy pydantic yaml tqdm av"
    result = subprocess.run(
        [sys.executable, "-c", NOTHING_ELSE, f"{absent} decord papermill"],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr


WRONG = [
    ("blok", {}, r"kind='blok' is unknown; allowed: 'nonlocal', 'region', "),
    (
        "region",
        {"kernal": (3, 7, 7)},
        r"option of 'region'='kernal' is unknown; allowed: 'inner', .*'kernel'",
    ),
    (
        "chain",
        {"scaled": True},
        r"option of 'chain'='scaled' is unknown; allowed: 'reduction', .*'kernel'",
    ),
    (
        "region",
        {"kernel": (3, 6, 7)},
        r"kernel=\(3, 6, 7\) is not possible; allowed: three odd",
    ),
    (
        "chain",
        {"kernel": (3, 7)},
        r"kernel=\(3, 7\) is not possible; allowed: three odd",
    ),
    ("region", {"kernel": 3}, r"kernel=3 is not possible; allowed: three odd"),
    (
        "region",
        {"kernel": (3, -1, 3)},
        r"kernel=\(3, -1, 3\) is not possible; allowed: three odd positive",
    ),
    (
        "region",
        {"kernel": (3.0, 1, 3)},
        r"kernel=\(3.0, 1, 3\) is not possible; allowed: .* whole numbers",
    ),
    ("cbam", {"kernel": (1, 2, 7)}, r"kernel=\(1, 2, 7\) is not possible"),
    (
        "region",
        {"form": "embedded"},
        r"form='embedded' is unknown; allowed: 'gaussian', 'dot_product', 'cosine'$",
    ),
    (
        "region",
        {"region": "mean"},
        r"region='mean' is unknown; allowed: 'conv', 'avg', 'max'$",
    ),
    (
        "nonlocal",
        {"form": "cosine"},
        r"form='cosine' is unknown; allowed: 'embedded_gaussian', 'gaussian', ",
    ),
    (
        "nonlocal",
        {"pool_keys": True},
        r"pool_keys=True is unknown; allowed: None, 'before', 'after'$",
    ),
    (
        "nonlocal",
        {"inner": 0},
        r"inner=0 with channels=\d+ is not possible; allowed: a whole number of at",
    ),
    ("pyramid", {"scales": 5}, r"scales=5 is unknown; allowed: 1, 2, 3, 4$"),
    ("pyramid", {"scales": 2.0}, r"scales=2.0 is unknown; allowed: 1, 2, 3, 4$"),
    ("pyramid", {"scales": True}, r"scales=True is unknown"),
    (
        "pyramid",
        {"combine": "sum"},
        r"combine='sum' is unknown; allowed: 'attention', 'concat'$",
    ),
    ("pyramid", {"pool": "mean"}, r"pool='mean' is unknown; allowed: 'avg', 'max'$"),
    (
        "pyramid",
        {"form": "cosine"},
        r"form='cosine' is unknown; allowed: 'embedded_gaussian', 'gaussian', ",
    ),
    ("pyramid", {"inner": 0}, r"inner=0 with channels=\d+ is not possible"),
    (
        "cgnl",
        {"groups": 0},
        r"groups=0 is not possible; .*a whole number that divides 4096 and 2048$",
    ),
    ("cgnl", {"groups": 3}, r"groups=3 is not possible"),
    (
        "cgnl",
        {"inner": 12},
        r"groups=8 is not possible; allowed: a whole number that divides 4096 and 12$",
    ),
    ("cgd", {"groups": 8}, r"option of 'cgd'='groups' is unknown; allowed: $"),
    ("double_attention", {"reduction": 0}, r"reduction=0 is not possible"),
    (
        "global_context",
        {"reduction": 0},
        r"reduction=0 is not possible; allowed: a whole number from 1 to",
    ),
    ("squeeze_excite", {"reduction": 1.5}, r"reduction=1.5 is not possible"),
]


@pytest.mark.parametrize(("kind", "options", "message"), WRONG)
def test_each_mistake_is_one_line_that_names_what_is_allowed(kind, options, message):
    with pytest.raises(ValueError, match=message) as caught:
        make_block(kind, **options)
    assert "\n" not in str(caught.value)


def test_too_few_channels():
    with pytest.raises(ValueError, match="inner=None with channels=1 is not possible"):
        NonLocal(1)
    with pytest.raises(ValueError, match="from 1 to the number of channels, here 8"):
        make_block("cbam")(8)
