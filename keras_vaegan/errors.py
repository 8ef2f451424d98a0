"""The errors that a command tells in one line: a user's mistake, a training that diverged."""


class InputError(ValueError):
    """Bad input from the user, told in one line.

    The message names what was received, what was expected and what to do. Commands print it
    and exit with status 2; any other exception is a bug.
    """


class TrainingDiverged(RuntimeError):
    """A loss or a weight of a training is no longer finite; told in one line.

    Commands print it and exit with status 3.
    """


def first_line(error: Exception) -> str:
    """The first line of an error's text, or its kind where it has none; of bounded length."""
    return (str(error).splitlines() or [type(error).__name__])[0][:160]


def show(name: str) -> str:
    """A name from a file, on one line and of bounded length."""
    return repr(name if len(name) <= 100 else name[:97] + "...")
