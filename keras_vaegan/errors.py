"""The one error type that a user's mistake raises."""


class InputError(ValueError):
    """Bad input from the user, told in one line.

    The message names what was received, what was expected and what to do. Commands print it
    and exit with status 2; any other exception is a bug.
    """


def first_line(error: Exception) -> str:
    """The first line of an error's text, or its kind where it has none; of bounded length."""
    return (str(error).splitlines() or [type(error).__name__])[0][:160]
