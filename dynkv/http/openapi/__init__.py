"""The HTTP API described as OpenAPI 3.1, served at /openapi.json.

document     the whole, put together             route        serves it
parts        what descriptions are made of       schemas      forms that several routes share
fields       header fields, both ways            levels       r, pr, w, pw, timeout, sloppy
problems     what goes wrong, by status          structs      forms that are structs elsewhere, from those structs
keys, listing, types, batch, buckets, cluster, antientropy, pages    the routes, a module each as in `dynkv.http`

Bounds, names and patterns are the constants and types that the handlers use, so they cannot drift from them. What is
said beside them is held by tests: every route, method, parameter and status of the server is described, nothing else
is, and what a server answers has the form that is described (`tests/unit/openapi_held.py`).
"""
