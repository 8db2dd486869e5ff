"""The scanner: owns tags as last seen, tasks, scans, layer analyses, reports and the advisory file.

Consumes `drydock.image.events.v1` (tags) and `drydock.scan.requests.v1` (work); publishes
`drydock.scan.events.v1`. Its tables live in the schema `scanner`.
"""
