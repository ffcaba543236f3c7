"""What each metric of the printed costs counts, and its unit: `data/readings.yaml`."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

from notebooks.kit.printed.choices import DATA
from vidattn.yamlfile import read_yaml


class Amount(NamedTuple):
    """How much a network costs.

    Attributes:
        macs: Multiply-adds, in 10^9.
        params: Parameters, in 10^6.
    """

    macs: float
    params: float


@dataclass(frozen=True)
class Metric:
    """What a printed cost is a cost of.

    Attributes:
        of: Which part of an `Amount`.
        unit: `"GMAC"` (10^9), `"M"` (10^6 parameters), `"%"` or `"ratio"`.
        added: It is what a row adds to its bare network.
    """

    of: Literal["macs", "params"]
    unit: Literal["GMAC", "M", "%", "ratio"]
    added: bool = False

    def __call__(self, amount: Amount) -> float:
        """Return the part of an amount that this metric is of."""
        return float(getattr(amount, self.of))


METRICS = {
    name: Metric(**of)
    for name, of in read_yaml(DATA / "readings.yaml")["metrics"].items()
}
