"""Words as they stand at the head of a phrase, inside one, and in an anchor."""


def capital(text: str) -> str:
    """The text with a capital first letter."""
    return text[:1].upper() + text[1:]


def inside(text: str) -> str:
    """The text as it stands inside a sentence; abbreviations keep their capitals."""
    return text[:1].lower() + text[1:] if text[1:2].islower() else text


def anchor(kind: str, name: str) -> str:
    """The anchor of a section or exhibit about something that has a name: `table-symptom-relapse`."""
    return f"{kind}-{name.lower().replace(' ', '-').replace('_', '-')}"
