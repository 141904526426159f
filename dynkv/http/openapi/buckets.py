"""/buckets/{bucket}: a bucket's settings."""

from dynkv.core.bucket import BucketSettings
from dynkv.http.batch import ANY_BUCKET
from dynkv.http.openapi.parts import Part, body, json_answer, object_of, operation, parameter, schema, told

_DEFAULTS = BucketSettings()


def paths() -> dict[str, Part]:
    get = operation(
        "getBucket",
        "A bucket's settings",
        {200: json_answer("The settings; the defaults of a bucket that nobody has set.", schema("BucketSettings"))},
        tag="buckets",
    )
    # JSON whatever its Content-Type says: there is nothing else that it could be.
    put = operation(
        "putBucket",
        "Set a bucket's settings",
        {200: json_answer("The settings that hold from now on.", schema("BucketSettings"))},
        tag="buckets",
        text="What is left out has its default, whatever was set before. n is at most the number of members.",
        parameters=[parameter("ContentEncoding")],
        takes=body({"application/json": schema("NewBucketSettings")}, "The settings."),
    )
    return {"/buckets/{bucket}": {"parameters": [parameter("bucket")], "get": get, "put": put}}


def schemas() -> dict[str, Part]:
    count = {"type": "integer", "minimum": 1, "maximum": ANY_BUCKET.n}
    members = {
        "n": told(count, "Replicas of each key."),
        "r": told(count, "How many must answer a read; 1..n."),
        "w": told(count, "How many must have a write; 1..n."),
        "conflict": told(
            schema("Conflict"),
            "What a reader sees of concurrent values: all of them, or the latest by hybrid clock.",
        ),
    }
    asked = {f"{name}?": {**part, "default": getattr(_DEFAULTS, name)} for name, part in members.items()}
    return {
        "BucketSettings": object_of({"bucket": schema("Bucket"), **members}, "Settings of a bucket."),
        "NewBucketSettings": object_of(asked, "Settings to be.", closed=True),
    }
