"""Runs: described, trained, found again."""

from vidattn.errors import MissingExtra

try:
    from vidattn.training.build import build_data, build_model, check
    from vidattn.training.evaluate import Evaluation, evaluate, within_pairs
    from vidattn.training.experiment import (
        Experiment,
        Folder,
        Model,
        Optim,
        Placed,
        Synthetic,
        dump,
        load_experiment,
        make_experiment,
    )
    from vidattn.training.result import Result, read_result
    from vidattn.training.run import load_trained, replay, retest, run, run_folder
    from vidattn.training.validation import explain
    from vidattn.video.sample import Sampling
except ModuleNotFoundError as error:
    raise MissingExtra("training", error) from None

__all__ = [
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
    "read_result",
    "replay",
    "retest",
    "run",
    "run_folder",
    "within_pairs",
]
