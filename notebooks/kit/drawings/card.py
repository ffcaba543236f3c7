"""The small card below a figure that says where its numbers come from."""

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

from pydantic import BaseModel


class Html(str):
    """Text that a notebook shows as HTML."""

    def _repr_html_(self) -> str:
        return self


def run_card(runs: Sequence[BaseModel | Mapping[str, Any]], **known: Any) -> Html:
    """Return the small card below a figure that says where its numbers come from.

    Args:
        runs: Results of runs, records, or mappings with the same names. What differs
            between runs is listed; what none of them says reads 'not recorded'.
        **known: What the card says instead, such as `versions`, or a mapping of
            `parameters`.

    Returns:
        HTML: commit, parameters, data, seeds, device, versions and seconds, folded.
    """
    rows = [run.model_dump() if isinstance(run, BaseModel) else run for run in runs]

    def say(field: str, show: Callable[[Any], str] = str) -> str:
        found = [known[field]] if field in known else [row.get(field) for row in rows]
        values = [value for value in found if value is not None]
        return ", ".join(dict.fromkeys(map(show, values))) or "not recorded"

    seconds = sum(row.get("seconds", 0) for row in rows)
    count = f"{len(rows)} run{'s' * (len(rows) != 1)}"
    threads = say("threads")
    used = f", threads: {threads}" if threads != "not recorded" else ""
    entries = {
        "commit": say("commit", _short_commit),
        "parameters": say("parameters", _parameters),
        "data": say("data"),
        "seeds": say("seed"),
        "device": say("device") + used,
        "versions": say("versions", _pairs),
        "seconds": f"{seconds:,.0f}" if seconds else "not recorded",
    }
    entries |= {
        name: str(value) for name, value in known.items() if name not in entries
    }
    said = ((escape(name), escape(text)) for name, text in entries.items())
    items = "".join(f"<dt>{name}</dt><dd>{text}</dd>" for name, text in said)
    return Html(
        f'<details class="run-card"><summary>Run card: {count}</summary><dl>{items}</dl></details>'
    )


def _short_commit(commit: str) -> str:
    sha, plus, rest = commit.partition("+")
    return sha[:12] + plus + rest


def _parameters(value: Any) -> str:
    return _pairs(value, " = ") if isinstance(value, Mapping) else f"{value:,} weights"


def _pairs(values: Mapping[str, Any], sign: str = " ") -> str:
    return ", ".join(f"{name}{sign}{value}" for name, value in values.items())
