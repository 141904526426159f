"""HTTP for clients: the one package that knows it.

server      listens, keeps the deadlines, routes, admits, drains      connection   one client's connection
request     one request as a handler sees it, its body included       reply        one answer, and its bytes
paths       bucket, key and query from the raw target                 problems     errors as problem+json
kv          GET, HEAD, PUT, DELETE of one key                          values       how found values are shown
batch       many operations in one request: operations (read), batch_work (done), results (told)
listing     the keys of a bucket, streamed: key_forms, cursor
openapi     the whole of it described, served at /openapi.json
buckets, cluster, pages    the other routes                           stats        counts and latency by route
view        what the node must tell this package                      parsing      the seam to aiohttp's parser
"""
