"""From a description to network, data and optimiser.

`check` refuses a description that cannot be run before any of them is needed.
"""

from pathlib import Path

import torch
from torch import nn

from vidattn.backbones import BACKBONES
from vidattn.backbones.load import load_weights
from vidattn.backbones.place import place, placed_parameters
from vidattn.blocks import make_block
from vidattn.errors import UserError
from vidattn.training.experiment import Experiment, Synthetic
from vidattn.video.datasets import VideoDataset


def build_model(experiment: Experiment) -> nn.Module:
    """Return the network that a description names, with its weights.

    They are new, or pre-trained ones. The backbone draws its weights before any block
    does: under one seed it starts the same with and without blocks.

    Raises:
        UserError: A name, an option or a place does not exist, or the checkpoint does
            not fit.
    """
    model = _with_blocks(_bare(experiment), experiment)
    if experiment.model.pretrained is not None:
        load_weights(model, experiment.model.pretrained, head="drop")
    return model


def build_data(experiment: Experiment) -> tuple[VideoDataset, VideoDataset]:
    """Return the training and the test clips.

    Synthetic ones are rendered unless they are found again.

    Raises:
        UserError: A folder, an index file or a video is missing or faulty.
    """
    sampling, seed, cache = experiment.sampling, experiment.seed, experiment.data.cache
    train, test = experiment.data.clips()
    return (
        VideoDataset(train, sampling, train=True, seed=seed, cache=cache),
        VideoDataset(test, sampling, train=False, seed=seed, cache=cache),
    )


def build_optimizer(experiment: Experiment, model: nn.Module) -> torch.optim.SGD:
    """Return SGD over the model's parameters, in groups of a rate and a decay.

    Each group carries `scale`, which the learning rate of every step is multiplied by.
    """
    optim = experiment.optim
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    placed = placed_parameters(model)
    for name, parameter in model.named_parameters():
        scale = optim.block_lr if name in placed else 1.0
        decay = optim.weight_decay if optim.decay_norm or parameter.dim() > 1 else 0.0
        groups.setdefault((scale, decay), []).append(parameter)
    return torch.optim.SGD(
        [
            {"params": group, "scale": scale, "weight_decay": decay}
            for (scale, decay), group in groups.items()
        ],
        lr=optim.lr,
        momentum=optim.momentum,
        nesterov=optim.nesterov,
    )


def check(experiment: Experiment) -> None:
    """Refuse within seconds what training would fail at.

    That is names, options, places, shapes, device and files. The network is built on
    the meta device and run once on a clip's shape, so that each block meets the shape
    of its place.

    Raises:
        UserError: One line that says what is wrong and what is allowed.
    """
    if experiment.device == "cuda" and not torch.cuda.is_available():
        raise UserError("device: 'cuda' is not available here; allowed is 'cpu'")
    with torch.device("meta"):
        model = _with_blocks(_bare(experiment), experiment).eval()
    sampling = experiment.sampling
    for side in sorted({sampling.size, sampling.test_size or sampling.size}):
        shape = (1, 3, sampling.frames, side, side)
        try:
            with torch.no_grad():
                model(torch.empty(shape, device="meta"))
        except (RuntimeError, ValueError) as error:
            first = str(error).splitlines()[0]
            raise UserError(
                f"the network does not run on clips of shape {shape}: {first}"
            ) from error
    pretrained = experiment.model.pretrained
    if pretrained is not None and not Path(pretrained).is_file():
        raise UserError(f"model.pretrained: {pretrained} is no file")
    _check_data(experiment)


def _bare(experiment: Experiment) -> nn.Module:
    model = experiment.model
    if model.backbone not in BACKBONES:
        raise UserError(
            f"model.backbone: {model.backbone!r} is unknown; allowed are "
            f"{', '.join(BACKBONES)}"
        )
    return BACKBONES[model.backbone](
        num_classes=model.num_classes, temporal=model.temporal, dropout=model.dropout
    )


def _with_blocks(model: nn.Module, experiment: Experiment) -> nn.Module:
    for number, placed in enumerate(experiment.blocks):
        try:
            place(model, placed.places, make_block(placed.kind, **placed.options))
        except (ValueError, TypeError) as error:
            raise UserError(f"blocks[{number}]: {error}") from error
    return model


def _check_data(experiment: Experiment) -> None:
    data, classes = experiment.data, experiment.model.num_classes
    if isinstance(data, Synthetic):
        clips, names = data.train.clips, len(data.train.classes)
        if names != classes:
            raise UserError(
                f"model.num_classes: must be {names} for task {data.train.task!r}, "
                f"not {classes}"
            )
        short = min(data.train.size, data.test.size)
        largest = max(experiment.sampling.size, experiment.sampling.test_size or 0)
        if experiment.sampling.resize is None and largest > short:
            raise UserError(
                f"sampling: a crop of {largest} does not fit clips of {short} x "
                f"{short} pixels"
            )
    else:
        train, test = data.clips()
        clips = len(train.rows)
        largest = max(clip.label for clip in (*train.rows, *test.rows))
        if largest >= classes:
            raise UserError(
                f"model.num_classes: {classes}, but {data.root} has the label {largest}"
            )
    if experiment.optim.batch > clips:
        raise UserError(
            f"optim.batch: {experiment.optim.batch} must not exceed the {clips} "
            "training clips"
        )
