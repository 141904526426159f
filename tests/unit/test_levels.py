"""r, w, pr, pw, timeout and sloppy become numbers, or a 400 that names the parameter and its range."""

import pytest

from dynkv.core.bucket import BucketSettings, Setting, check_bucket, check_key, newer
from dynkv.core.errors import BadKey, BadParameter
from dynkv.core.levels import Levels, resolve

BUCKET = BucketSettings(n=3, r=2, w=2)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({}, Levels(3, 2, 0, 2, 0, 5000, True)),
        ({"r": "1"}, Levels(3, 1, 0, 2, 0, 5000, True)),
        ({"r": "one", "w": "all"}, Levels(3, 1, 0, 3, 0, 5000, True)),
        ({"w": "quorum", "timeout": "250", "sloppy": "false"}, Levels(3, 2, 0, 2, 0, 250, False)),
        ({"pr": "3"}, Levels(3, 3, 3, 2, 0, 5000, True)),
        ({"pw": "all"}, Levels(3, 2, 0, 3, 3, 5000, True)),
        ({"pr": "1", "r": "3"}, Levels(3, 3, 1, 2, 0, 5000, True)),
    ],
)
def test_levels_are_resolved(said: dict[str, str], expected: Levels) -> None:
    assert resolve(BUCKET, said) == expected


@pytest.mark.parametrize(
    ("said", "field", "limit"),
    [
        ({"r": "0"}, "r", "1..3"),
        ({"r": "4"}, "r", "1..3"),
        ({"w": "-1"}, "w", "1..3"),
        ({"w": "two"}, "w", "1..3"),
        ({"w": "1.5"}, "w", "1..3"),
        ({"w": "\u0661"}, "w", "1..3"),
        ({"pw": "9" * 30}, "pw", "1..3"),
        ({"pr": ""}, "pr", "1..3"),
        ({"pr": "3", "r": "2"}, "pr", "0..2"),
        ({"pw": "2", "w": "1"}, "pw", "0..1"),
        ({"timeout": "0"}, "timeout", "60000 ms"),
        ({"timeout": "60001"}, "timeout", "60000 ms"),
        ({"timeout": "soon"}, "timeout", "60000 ms"),
        ({"sloppy": "yes"}, "sloppy", "true or false"),
    ],
)
def test_what_cannot_be_is_refused_with_its_name_and_range(said: dict[str, str], field: str, limit: str) -> None:
    with pytest.raises(BadParameter) as caught:
        resolve(BUCKET, said)
    assert caught.value.field == field
    assert limit in caught.value.limit


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        (BucketSettings(n=4), "n"),
        (BucketSettings(n=0, r=0, w=0), "n"),
        (BucketSettings(r=4), "r"),
        (BucketSettings(w=0), "w"),
    ],
)
def test_bucket_settings_out_of_range(settings: BucketSettings, field: str) -> None:
    with pytest.raises(BadParameter) as caught:
        settings.validate(members=3)
    assert caught.value.field == field


def test_the_newest_setting_wins_in_whatever_order_they_come() -> None:
    old = Setting("b", 1, "n2", 3, 2, 2, "siblings")
    tie = Setting("b", 1, "n3", 3, 1, 1, "lww")
    new = Setting("b", 2, "n1", 3, 1, 3, "siblings")
    assert newer(None, old)
    assert newer(old, tie)
    assert not newer(tie, old)
    assert newer(tie, new)
    assert not newer(new, new)


@pytest.mark.parametrize("name", ["", "-a", "a/b", "a" * 129, "ä", "a b", "a\n"])
def test_bad_bucket_names(name: str) -> None:
    with pytest.raises(BadKey):
        check_bucket(name)


def test_key_length() -> None:
    assert check_key(b"k" * 4096)
    for key in (b"", b"k" * 4097):
        with pytest.raises(BadKey):
            check_key(key)
