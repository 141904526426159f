"""Times as HTTP and people write them. The dates of answers repeat, so the expensive part is kept per day."""

import datetime

_DAYS_MAX = 4096
_days: dict[int, str] = {}


def http_date(seconds: int) -> str:
    """`seconds` since 1970 as an IMF-fixdate (RFC 9110 5.6.7): "Sun, 06 Nov 1994 08:49:37 GMT"."""
    day, rest = divmod(seconds, 86_400)
    text = _days.get(day)
    if text is None:
        if len(_days) >= _DAYS_MAX:
            _days.clear()
        text = _days[day] = _day(day)
    minutes, second = divmod(rest, 60)
    return f"{text} {minutes // 60:02}:{minutes % 60:02}:{second:02} GMT"


def _day(day: int) -> str:
    try:
        date = datetime.date(1970, 1, 1) + datetime.timedelta(days=day)
    except OverflowError:
        # A hybrid clock of 48 bits of milliseconds reaches the year 10889; HTTP's dates end with 9999.
        date = datetime.date.max
    name = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")[date.weekday()]
    month = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()[date.month - 1]
    return f"{name}, {date.day:02} {month} {date.year:04}"


def iso_date(wall_ms: int) -> str:
    """Milliseconds since 1970 as "2026-01-31T12:00:00.123Z"."""
    try:
        moment = datetime.datetime(1970, 1, 1) + datetime.timedelta(milliseconds=wall_ms)
    except OverflowError:
        moment = datetime.datetime.max
    return f"{moment.isoformat(timespec='milliseconds')}Z"
