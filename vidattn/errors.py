"""The exception that a user is meant to read."""


class UserError(ValueError):
    """Bad input: one line that says what is wrong and what is allowed.

    Command-line tools print it without a traceback and exit with status 2.
    """


class MissingExtra(UserError, ImportError):
    """A part of the library needs more than torch and einops, and it is not there.

    Args:
        extra: The extra of the distribution that brings what is missing.
        error: What the import said.
    """

    def __init__(self, extra: str, error: ModuleNotFoundError) -> None:
        super().__init__(f"{error.name} is missing: pip install 'vidattn[{extra}]'")
