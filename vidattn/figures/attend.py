"""The documented command for a video file: what do networks attend to in it?"""

from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib import rc_context
from torch import nn
from torch.optim.swa_utils import update_bn

from vidattn.backbones.place import insertion, place, stages
from vidattn.backbones.resnet import resnet50
from vidattn.blocks import make_block
from vidattn.errors import UserError
from vidattn.figures.maps import Query, attention_maps, capture, has_maps
from vidattn.figures.pictures import show_maps
from vidattn.figures.style import use_style
from vidattn.training.checkpoint import write_atomically
from vidattn.training.experiment import Experiment, Synthetic, load_experiment
from vidattn.training.run import load_trained
from vidattn.video import augment
from vidattn.video.decode import probe, read_frames
from vidattn.video.sample import Sampling, sample

RNL_PLACES = {"res3": (1, 3), "res4": (1, 3, 5)}  # RNL paper, Table III: five blocks
QUERIES = ("changing", "still")
SAMPLING = Sampling(frames=8, size=224, resize=256)


def attention_figure(
    clip_path: str | Path, out: str | Path, run: str | Path | None = None
) -> None:
    """Draw what networks attend to in a video file.

    The queries are two: where the clip changes most, and least. Shown is a network's
    first block with pairwise weights. With a run: that of its network, on frames
    sampled and cut as in its tests. Without one: those of two TSM ResNet-50 on 8 frames
    of 224 x 224 pixels, with five RNL blocks and with five NL blocks at the places of
    the RNL paper's Table III. Their weights are random, which the figure and a printed
    line say; batch normalisation takes its statistics from the clip, since untrained
    activations grow from block to block without them.

    Args:
        clip_path: A video file or a folder of numbered JPEG frames.
        out: The PNG to write, atomically.
        run: Folder of a finished run.

    Raises:
        UserError: The folder for the PNG is missing, the clip cannot be read, or the
            run has no block to show.
    """
    out = Path(out)
    if out.suffix.lower() != ".png":
        raise UserError(f"--out: {out} must end in .png")
    if not out.parent.is_dir():
        raise UserError(f"--out: there is no folder {out.parent}")
    probe(clip_path)  # an unreadable file is refused before any network is built
    if run is None:
        note = "random weights, untrained"
        frames = _network_frames(clip_path, SAMPLING)
        kinds = {"RNL": "region", "NL": "nonlocal"}
        networks = {name: _untrained(kind, frames) for name, kind in kinds.items()}
    else:
        model = load_trained(run)
        experiment = load_experiment(Path(run) / "experiment.yaml")
        note = f"trained by the run {experiment.name}"
        frames = _network_frames(clip_path, _of_tests(experiment))
        networks = {type(insertion(model, *_first_place(model))).__name__: model}
    clip = augment.normalise(torch.from_numpy(frames))[None]
    first = next(iter(networks.values()))
    stage, number = _first_place(first)
    height, width = capture(first, insertion(first, stage, number), clip).shape[-2:]
    queries = changing_and_still(frames, height, width)
    found = [attention_maps(n, stage, number, clip, queries) for n in networks.values()]
    maps = torch.cat(found)
    rows, columns = maps.shape[2:]
    if rows < height:  # pooled keys: the maps' grid is half as fine
        last = (rows - 1, columns - 1)
        queries = [(t, *map(min, (i // 2, j // 2), last)) for t, i, j in queries]
    titles = [f"{name}\n{query}" for name in networks for query in QUERIES]
    with rc_context():
        use_style()
        figure = show_maps(frames, maps, queries * len(networks), titles)
        figure.supxlabel(
            f"{Path(clip_path).name}: attention behind block {number} of {stage}, log "
            f"scale from the median up; {note}",
            fontsize=8,
        )
        draw = partial(figure.savefig, format="png", facecolor="white")
        write_atomically(out, draw)
    print(f"The network: {note}.")


def changing_and_still(frames: np.ndarray, height: int, width: int) -> list[Query]:
    """Return where the middle frame differs most and least from its neighbours.

    The rim is left out.

    Args:
        frames: uint8 `(T, H, W, 3)`.
        height: Rows of the grid of positions.
        width: Columns of the grid.

    Returns:
        Two positions (t, row, column), t being T // 2.
    """
    middle = len(frames) // 2
    near = frames[max(0, middle - 1) : middle + 2].astype(np.float32)
    # Of one frame: zero.
    change = torch.from_numpy(np.abs(np.diff(near, axis=0)).sum(axis=(0, 3)))
    cells = F.adaptive_avg_pool2d(change[None], (height, width))[0]
    rim = int(min(height, width) > 4)
    inner = cells[rim : height - rim, rim : width - rim]
    extremes = (inner.argmax(), inner.argmin())
    places = [divmod(int(flat), inner.shape[1]) for flat in extremes]
    return [(middle, row + rim, column + rim) for row, column in places]


def _of_tests(experiment: Experiment) -> Sampling:
    """Return a run's sampling; clips are scaled to the size that it was trained on."""
    sampling = experiment.sampling
    if sampling.resize is None and isinstance(experiment.data, Synthetic):
        return sampling.model_copy(update={"resize": experiment.data.test.size})
    return sampling


def _network_frames(path: str | Path, sampling: Sampling) -> np.ndarray:
    """Sample, resize and cut a clip as a test does: uint8 `(T, size, size, 3)`."""

    def choose(total: int) -> np.ndarray:
        return sample(sampling.mode, total, sampling.frames, sampling.stride)[0]

    chosen = read_frames(path, choose)
    clip = augment.scale(torch.from_numpy(chosen), sampling.resize)
    size = sampling.test_size or sampling.size
    if min(clip.shape[1:3]) < size:
        found = f"{clip.shape[1]} x {clip.shape[2]}"
        raise UserError(
            f"{path}: frames of {found} pixels are smaller than the network's {size}"
        )
    return augment.centre_crop(clip, size).contiguous().numpy()


def _untrained(kind: str, frames: np.ndarray) -> nn.Module:
    """Return a TSM ResNet-50 with one kind of block, normalised by the clip."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = place(resnet50(temporal="tsm"), RNL_PLACES, make_block(kind)).eval()
    update_bn([augment.normalise(torch.from_numpy(frames))[None]], model)
    return model


def _first_place(model: nn.Module) -> tuple[str, int]:
    for name, stage in stages(model).items():
        for number, block in stage.placed.items():
            if has_maps(block):
                return name, int(number)
    raise UserError("the network has no block with a map of weights")
