"""The one exception that a user is meant to read."""


class UserError(ValueError):
    """Bad input: one line that says what is wrong and what is allowed.

    Command-line tools print it without a traceback and exit with status 2.
    """
