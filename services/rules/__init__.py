"""Rules: owns instances, repositories and scan rules; answers what is scanned, by which engine, and who is told.

Consumes `drydock.image.events.v1`, and tells there what registries list and which instances were deleted.
Publishes `drydock.scan.requests.v1` and `drydock.scan.requests.bulk.v1`. Its tables live in the schema `rules`.
"""
