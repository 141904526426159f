"""Which of the forms we have does the client like best? (RFC 9110 12.5.1, as far as three forms need it.)"""

from collections.abc import Sequence


def choose(accept: str, forms: Sequence[str]) -> str:
    """The form of `forms` (best first, the default) that `accept` prefers; the default if it names none of them.

    A form that the client excludes or does not name is still better than no answer, so there is no 406.
    """
    best, best_quality = forms[0], 0.0
    ranges = [_range(part) for part in accept.split(",")]
    for form in forms:
        quality = _quality(form, ranges)
        if quality > best_quality:
            best, best_quality = form, quality
    return best


def _quality(form: str, ranges: Sequence[tuple[str, float]]) -> float:
    """Of the most specific range that matches."""
    major = form.partition("/")[0]
    for name in (form, f"{major}/*", "*/*"):
        for media, quality in ranges:
            if media == name:
                return quality
    return 0.0


def _range(part: str) -> tuple[str, float]:
    media, *parameters = (piece.strip().lower() for piece in part.split(";"))
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            return media, _number(value.strip())
    return media, 1.0


def _number(text: str) -> float:
    """A quality of 0 to 1 with at most three decimals; anything else counts as zero."""
    digits = text.replace(".", "", 1)
    if not (digits.isascii() and digits.isdigit() and len(text) <= 5):
        return 0.0
    return min(float(text), 1.0)
