"""One validated description of a run: all that decides its result, and nothing else."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, JsonValue, ValidationError, model_validator

from vidattn.backbones import BACKBONES
from vidattn.blocks import BLOCKS
from vidattn.description import FrozenList, Part, Positive
from vidattn.errors import UserError
from vidattn.training.checkpoint import write_atomically
from vidattn.training.key import code_key, digest, file_key
from vidattn.training.validation import explain
from vidattn.video.index import Clips, read_classes, read_index
from vidattn.video.sample import Sampling
from vidattn.video.synthetic import SyntheticSpec, write_clips
from vidattn.yamlfile import read_yaml

Fraction = Annotated[float, Field(ge=0, lt=1)]
NotNegative = Annotated[float, Field(ge=0)]


class Synthetic(Part):
    """Clips that are rendered when they are needed and found again afterwards.

    Args:
        train: Description of the training clips.
        test: Description of the test clips: the same task, another seed.
        root: Folder for the clips of all descriptions.
        cache: Keep the decoded frames in memory.
    """

    kind: Literal["synthetic"] = "synthetic"
    train: SyntheticSpec
    test: SyntheticSpec
    root: str = "data"
    cache: bool = True

    @model_validator(mode="after")
    def _test_is_unseen(self) -> "Synthetic":
        if self.train.task != self.test.task:
            tasks = f"{self.train.task!r} and {self.test.task!r}"
            raise ValueError(f"train and test must be one task, not {tasks}")
        if self.train.seed == self.test.seed:
            raise ValueError(
                f"train and test share the seed {self.train.seed}, and so their clips"
            )
        return self

    def key(self) -> str:
        """Return what identifies the data: generator version and descriptions.

        Encoded bytes do not count.
        """
        return digest([self.train.key(), self.test.key()])

    def clips(self) -> tuple[Clips, Clips]:
        """Return the training and the test clips.

        They are rendered unless they are found again.
        """
        return (
            read_index(write_clips(self.train, self.root)),
            read_index(write_clips(self.test, self.root)),
        )


class Folder(Part):
    """A data set on disk: video files and two index files with the header `path,label`.

    Args:
        root: Folder that the paths in the index files start from.
        train: Index file of the training clips, from `root` on, or its absolute path.
        test: Index file of the test clips, likewise.
        cache: Keep the decoded frames in memory.
    """

    kind: Literal["folder"] = "folder"
    root: str
    train: str = "train.csv"
    test: str = "val.csv"
    cache: bool = False

    def key(self) -> str:
        """Return what identifies the data, wherever it lies.

        That is the contents of the two index files, and the classes' names.

        Raises:
            UserError: An index file does not exist.
        """
        indices = [Path(self.root) / index for index in (self.train, self.test)]
        classes = [read_classes(index.parent) for index in indices]
        return digest([[file_key(index) for index in indices], classes])

    def clips(self) -> tuple[Clips, Clips]:
        """Return the training and the test clips.

        Raises:
            UserError: An index file is missing or faulty.
        """
        return read_index(self.root, self.train), read_index(self.root, self.test)


class Model(Part):
    """The network without its attention blocks.

    Args:
        backbone: A name in `vidattn.backbones.BACKBONES`.
        temporal: `"none"`, each frame for itself, `"tsm"`, temporal shift, or `"pool"`,
            time pooled away in three steps (ResNet only); MFNet, which is 3-D, takes
            `"none"` only.
        num_classes: Number of classes.
        dropout: Probability of dropping a feature before the classifier.
        pretrained: Checkpoint to start from: a run's `final.pt`, torchvision's, TSM's
            or MFNet's; the classifier starts anew.
    """

    backbone: str = "resnet50"
    temporal: Literal["none", "tsm", "pool"] = "none"
    num_classes: Positive
    dropout: Fraction = 0.0
    pretrained: str | None = None


class Placed(Part):
    """One kind of block and the places where it stands.

    Args:
        kind: A name in `vidattn.blocks.BLOCKS`.
        options: The block's keyword arguments.
        places: For each stage the blocks, counting from 1, that it stands behind:
            `{"res3": [1, 3]}`.
    """

    kind: str
    options: dict[str, JsonValue] = Field(default_factory=dict)
    places: dict[str, FrozenList[Positive]]


class Optim(Part):
    """Stochastic gradient descent with momentum.

    A paper that names one weight decay, as RNL does (1e-4 on Kinetics, 8e-4 on
    Something-Something), does not say of which parameters. Plain SGD applies it to all:
    hence `decay_norm=True`. Public code often frees batch normalisation and biases of
    it; RNL's does, and frees F_theta's weight, too, which it trains at twice the rate
    (compare `block_lr`).

    Args:
        epochs: Passes over the training clips.
        batch: Clips of one step.
        accumulate: Micro-batches that a step's clips are split into; batch
            normalisation sees one at a time.
        lr: Learning rate after the warm-up.
        momentum: Momentum.
        nesterov: Nesterov's form of it.
        weight_decay: Weight decay.
        decay_norm: Apply weight decay to vectors, too: biases and batch normalisation.
        schedule: `"cosine"` or `"step"`.
        milestones: Epochs at which the step schedule multiplies the rate by `gamma`;
            after the end they never come.
        gamma: Factor of the step schedule.
        warmup_epochs: Epochs of linear warm-up.
        clip_grad: Largest norm of the gradient, if it is to be clipped.
        block_lr: What the learning rate of placed blocks is multiplied by.
        amp: Mixed precision; on a GPU only.
    """

    epochs: Positive
    batch: Positive
    accumulate: Positive = 1
    lr: Annotated[float, Field(gt=0)]
    momentum: Fraction = 0.9
    nesterov: bool = False
    weight_decay: NotNegative = 1e-4
    decay_norm: bool = True
    schedule: Literal["cosine", "step"] = "cosine"
    milestones: FrozenList[Positive] = ()
    gamma: Annotated[float, Field(gt=0, lt=1)] = 0.1
    warmup_epochs: NotNegative = 0.0
    clip_grad: Annotated[float, Field(gt=0)] | None = None
    block_lr: Annotated[float, Field(gt=0)] = 1.0
    amp: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> "Optim":
        if self.batch % self.accumulate:
            raise ValueError(
                f"batch {self.batch} must be divisible by accumulate {self.accumulate}"
            )
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov needs a momentum above 0")
        if self.warmup_epochs >= self.epochs:
            raise ValueError(
                f"warmup_epochs {self.warmup_epochs} must be below epochs {self.epochs}"
            )
        if bool(self.milestones) != (self.schedule == "step"):
            raise ValueError(
                "milestones belong to the schedule 'step', which needs at least one"
            )
        if any(
            late <= early
            for early, late in zip(self.milestones, self.milestones[1:], strict=False)
        ):
            raise ValueError(f"milestones {list(self.milestones)} must increase")
        return self


class Experiment(Part):
    """A run, described whole.

    Args:
        name: What the run's folder is called, before its key.
        data: Training and test clips.
        sampling: Frames and pixels of a clip.
        model: The backbone.
        blocks: Attention blocks.
        optim: The optimiser and its schedule.
        seed: Seed of weights, order, augmentation and dropout. Two descriptions that
            differ in their blocks alone start from the same backbone, and see the same
            clips in the same order.
        threads: CPU threads; another number may give other bits.
        device: `"cpu"` or `"cuda"`.
        test_every_epoch: Test after every epoch, too; it changes nothing else.
    """

    name: str
    data: Annotated[Synthetic | Folder, Field(discriminator="kind")]
    sampling: Sampling
    model: Model
    blocks: FrozenList[Placed] = ()
    optim: Optim
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    threads: Positive = 1
    device: Literal["cpu", "cuda"] = "cpu"
    test_every_epoch: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> "Experiment":
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", self.name):
            raise ValueError(
                f"name {self.name!r} must consist of letters, digits, '.', '_' and '-'"
            )
        if self.optim.amp and self.device != "cuda":
            raise ValueError("optim.amp needs device 'cuda'")
        return self

    def key(self) -> str:
        """Return sixteen hexadecimal digits for description, code and data.

        These are all that decides the result. Left out are the name, where data lies,
        and whether it is cached; a pre-trained checkpoint counts by its content.

        Raises:
            UserError: An index file or the pre-trained checkpoint does not exist.
        """
        description = self.model_dump(mode="json", exclude={"name", "data"})
        if self.model.pretrained:
            description["model"]["pretrained"] = file_key(Path(self.model.pretrained))
        return digest([description, self.code(), self.data.key()])[:16]

    def code(self) -> str:
        """Return a hash of the code that decides the result: the library's and a
        user's.
        """
        makers: set[Callable[..., object] | None] = {
            BACKBONES.get(self.model.backbone),
            *(BLOCKS.get(placed.kind) for placed in self.blocks),
        }
        ours = {m for m in makers if m and m.__module__.startswith("vidattn.")}
        users = frozenset(makers - ours - {None})
        return code_key(*sorted({m.__module__ for m in ours}), users=users)


def make_experiment(description: Mapping[str, Any]) -> Experiment:
    """Validate a description that is given as plain values.

    Raises:
        UserError: One line for each fault, which names the field and what is allowed.
    """
    try:
        return Experiment.model_validate(dict(description))
    except ValidationError as error:
        raise UserError(explain(error)) from None


def load_experiment(path: str | Path) -> Experiment:
    """Read a description from a YAML file.

    Raises:
        UserError: The file is missing, is no YAML mapping, or describes no run.
    """
    return make_experiment(read_yaml(path))


def dump(experiment: Experiment, path: str | Path) -> None:
    """Write a description as YAML, whole: defaults included."""
    text = yaml.safe_dump(experiment.model_dump(mode="json"), sort_keys=False)
    write_atomically(Path(path), lambda file: file.write(text.encode()))
