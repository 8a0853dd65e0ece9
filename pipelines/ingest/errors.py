"""The one exception by which ingest refuses a release.

What is wrong with single rows is not an exception: it is counted and kept aside in `quarantine.py`.
"""


class ReleaseRefused(ValueError):
    """A release cannot be taken in; the message is one plain sentence: where, what, and how to mend it.

    The message names files, columns, lines and kinds of problem, never a cell value or a patient.
    """
