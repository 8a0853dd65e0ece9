"""What the derive room says when a SQL file cannot be used."""


class DeriveError(ValueError):
    """A SQL file cannot be used; the message is one sentence that names the file and how to mend it."""
