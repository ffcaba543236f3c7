"""The old name of what pages use, for pages that have not moved yet."""

from notebooks.kit.claims import *  # noqa: F403
