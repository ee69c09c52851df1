"""The error for a file that is not the history it is taken for."""


class MalformedHistoryError(ValueError):
    """
    A file, or a part of it, is not what its format asks for.

    Attributes:
        name: Which file, as the user named it.
        line: Where, counted from 1; None if it is about the whole.
    """

    def __init__(self, name: str, line: int | None, message: str) -> None:
        place = name if line is None else f"{name}:{line}"
        super().__init__(f"{place}: {message}")
        self.name = name
        self.line = line
