"""The six public data sets in miniature: their own annotation files, and clips in their
own containers.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from PIL import Image

from vidattn.video.decode import write_video

FRAMES, HEIGHT, WIDTH = 12, 32, 48


def pixels(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(
        0, 256, (FRAMES, HEIGHT, WIDTH, 3), dtype=np.uint8
    )


def encode(path: Path, codec: str, **options: str) -> None:
    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, rate=12, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for image in pixels():
            output.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        output.mux(stream.encode())


def put(path: Path) -> None:
    """Writes a clip: H.264 in mp4, VP9 in webm, MPEG-4 in avi, or a folder of JPEG
    frames.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    match path.suffix:
        case ".mp4":
            write_video(path, pixels())
        case ".webm":
            encode(path, "libvpx-vp9", deadline="realtime", **{"cpu-used": "8"})
        case ".avi":
            encode(path, "mpeg4", bf="2")
        case _:
            path.mkdir()
            for number, image in enumerate(pixels(), start=1):
                Image.fromarray(image).save(path / f"{number:05d}.jpg")


def cut(path: Path) -> None:
    """Cuts a clip, or the last of its frames, in the middle."""
    file = path if path.is_file() else path / f"{FRAMES:05d}.jpg"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def empty(path: Path) -> None:
    file = path if path.is_file() else path / "00003.jpg"
    file.write_bytes(b"")


# What a list says of a clip: its name, its class. A class that no list of classes has
# is "juggling".
Row = tuple[str, str]


def text(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(line + "\n" for line in lines))


def kinetics(root: Path, train: list[Row], test: list[Row]) -> None:
    for word, rows in (("train", train), ("val", test)):
        head = "label,youtube_id,time_start,time_end,split,is_cc"
        lines = [f"{label},{name},3,13,{word},0" for name, label in rows]
        text(root / "annotations" / f"{word}.csv", [head, *lines])


def mini_kinetics(root: Path, train: list[Row], test: list[Row]) -> None:
    others = [("unlisted000", "zumba")]  # in Kinetics-400, not in Mini-Kinetics-200
    kinetics(root, [*others, *dict.fromkeys(train)], [*others, *dict.fromkeys(test)])
    for word, rows in (("train", train), ("val", test)):
        text(root / f"{word}_ytid_list.txt", [name for name, _ in rows])


def something_v1(root: Path, train: list[Row], test: list[Row]) -> None:
    text(root / "something-something-v1-labels.csv", ["tearing paper", "arm wrestling"])
    for word, rows in (("train", train), ("validation", test)):
        text(
            root / f"something-something-v1-{word}.csv",
            [f"{name};{label}" for name, label in rows],
        )


def something_v2(root: Path, train: list[Row], test: list[Row]) -> None:
    folder = root / "labels"
    folder.mkdir(parents=True)
    # Twelve classes: as texts their numbers stand in another order.
    names = [
        "tearing paper",
        "arm wrestling",
        *(f"class {number}" for number in range(2, 12)),
    ]
    numbers = {name: str(number) for number, name in enumerate(names)}
    (folder / "labels.json").write_text(json.dumps(dict(sorted(numbers.items()))))
    for word, rows in (("train", train), ("validation", test)):
        entries = [
            {
                "id": name,
                "label": "tearing a letter",
                "template": label.replace("paper", "[paper]"),
                "placeholders": ["a letter"],
            }
            for name, label in rows
        ]
        (folder / f"{word}.json").write_text(json.dumps(entries))


def ucf101(root: Path, train: list[Row], test: list[Row]) -> None:
    folder, numbers = (
        root / "ucfTrainTestlist",
        {"tearing paper": 1, "arm wrestling": 2},
    )
    numbers = {name.replace(" ", ""): number for name, number in numbers.items()}
    text(
        folder / "classInd.txt",
        [f"{number} {name}" for name, number in numbers.items()],
    )
    for split in (1, 2):
        rows = train if split == 1 else train[:1]
        lines = [f"{label.replace(' ', '')}/{name}.avi" for name, label in rows]
        marks = [numbers.get(line.split("/")[0], 102) for line in lines]
        pairs = zip(lines, marks, strict=True)
        text(
            folder / f"trainlist{split:02d}.txt",
            [f"{line} {mark}" for line, mark in pairs],
        )
        lines = [f"{label.replace(' ', '')}/{name}.avi" for name, label in test]
        text(folder / f"testlist{split:02d}.txt", lines)


def hmdb51(root: Path, train: list[Row], test: list[Row]) -> None:
    folder = root / "testTrainMulti_7030_splits"
    for label in ("arm wrestling", "tearing paper"):
        lines = [f"{name}.avi 1 " for name, of in train if of == label]
        lines += [f"{name}.avi 2 " for name, of in test if of == label]
        if (
            label == "arm wrestling"
        ):  # the file's name says the class; what can be wrong is the use
            lines += [
                f"{name}.avi 7 " for name, of in (*train, *test) if of == "juggling"
            ]
        text(
            folder / f"{label.replace(' ', '_')}_test_split1.txt",
            [*lines, "neither.avi 0 "],
        )


class Layout(NamedTuple):
    """How a data set is laid out: its annotations, a clip's path, and the classes in
    their order.
    """

    annotate: Callable[[Path, list[Row], list[Row]], None]
    path: Callable[
        [str, str, str], str
    ]  # of a clip's name, its class, and "train" or "val"
    classes: tuple[str, ...]


def joined(label: str) -> str:
    return label.replace(" ", "")


ARM_FIRST = ("arm wrestling", "tearing paper")
LAYOUTS = {
    "kinetics400": Layout(
        kinetics,
        lambda name, label, word: f"{word}/{name}_000003_000013.mp4",
        ARM_FIRST,
    ),
    "mini_kinetics200": Layout(
        mini_kinetics,
        lambda name, label, word: (
            f"videos_{word}/{label.replace(' ', '_')}/{name}_000003_000013.mp4"
        ),
        ARM_FIRST,
    ),
    "something_v1": Layout(
        something_v1,
        lambda name, label, word: f"20bn-something-something-v1/{name}",
        ARM_FIRST[::-1],
    ),
    "something_v2": Layout(
        something_v2,
        lambda name, label, word: f"20bn-something-something-v2/{name}.webm",
        (*ARM_FIRST[::-1], *(f"class {number}" for number in range(2, 12))),
    ),
    "ucf101": Layout(
        ucf101,
        lambda name, label, word: f"UCF-101/{joined(label)}/{name}.avi",
        tuple(joined(label) for label in ARM_FIRST[::-1]),
    ),
    "hmdb51": Layout(
        hmdb51,
        lambda name, label, word: f"hmdb51_org/{label.replace(' ', '_')}/{name}.avi",
        tuple(label.replace(" ", "_") for label in ARM_FIRST),
    ),
}
TRAIN: list[Row] = [
    ("10", "tearing paper"),
    ("2", "arm wrestling"),
    ("3", "tearing paper"),
]
TEST: list[Row] = [("40", "arm wrestling"), ("5", "tearing paper")]


def lay_out(
    kind: str, root: Path, train: list[Row] = TRAIN, test: list[Row] = TEST
) -> None:
    """Writes a data set in miniature, whole."""
    layout = LAYOUTS[kind]
    layout.annotate(root, train, test)
    for word, rows in (("train", train), ("val", test)):
        for name, label in rows:
            put(root / layout.path(name, label, word))
