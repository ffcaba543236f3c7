"""Runs: described, trained, found again, judged."""

from vidattn.training.build import build_data, build_model, check
from vidattn.training.claims import Claim
from vidattn.training.evaluate import Evaluation, evaluate, within_pairs
from vidattn.training.experiment import (
    Experiment,
    Folder,
    Model,
    Optim,
    Placed,
    Sampling,
    Synthetic,
    dump,
    load_experiment,
    make_experiment,
)
from vidattn.training.fit import load_trained, replay, run, run_folder
from vidattn.training.result import Result, read_result
from vidattn.training.stats import (
    mean_interval,
    paired_interval,
    seeds_from_commit,
    verdict,
)
from vidattn.training.validation import explain

__all__ = [
    "Claim",
    "Evaluation",
    "Experiment",
    "Folder",
    "Model",
    "Optim",
    "Placed",
    "Result",
    "Sampling",
    "Synthetic",
    "build_data",
    "build_model",
    "check",
    "dump",
    "evaluate",
    "explain",
    "load_experiment",
    "load_trained",
    "make_experiment",
    "mean_interval",
    "paired_interval",
    "read_result",
    "replay",
    "run",
    "run_folder",
    "seeds_from_commit",
    "verdict",
    "within_pairs",
]
