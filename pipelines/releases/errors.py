"""The exceptions of the releases room: a home folder, register or snapshot that cannot be used as asked."""


class ReleaseError(RuntimeError):
    """What was asked cannot be done with this home folder; the message is one sentence that says how to mend it."""


class NameTaken(ReleaseError):
    """A release is refused since its name stands for other content; nothing was changed."""
