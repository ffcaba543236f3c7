"""The table of kills, shared by the blocks' mutants."""

from collections.abc import Callable, Sequence

import pytest

Check = Callable[[type], bool]


@pytest.fixture
def table_of_kills() -> Callable[[Sequence[type], Sequence[Check]], None]:
    """Prints which check kills which mutant; all mutants must die, and every check must
    kill one.
    """

    def table(mutants: Sequence[type], checks: Sequence[Check]) -> None:
        killed = {mutant: [not check(mutant) for check in checks] for mutant in mutants}
        print("\n" + " " * 24 + "  ".join(check.__name__ for check in checks))
        for mutant, row in killed.items():
            cells = ("killed" if dead else "lives" for dead in row)
            columns = (
                f"{cell:{len(check.__name__)}}"
                for cell, check in zip(cells, checks, strict=True)
            )
            print(f"{mutant.__name__:24}" + "  ".join(columns))
        assert all(any(row) for row in killed.values())
        assert all(
            any(row[n] for row in killed.values()) for n in range(len(checks))
        ), "a check that kills nothing"

    return table
