"""The scanner: owns tags as last seen, tasks, scans, layer analyses, reports and the advisory file.

Consumes `drydock.image.events.v1` (tags), `drydock.scan.requests.v1` and `drydock.scan.requests.bulk.v1` (work);
publishes `drydock.scan.events.v1`. Its tables live in the schema `scanner`.

Its rooms, each of which leans only on those after it: `work` leases scans, `pipeline` makes one, `tasks` and
`tags` are what is asked for, `images` are where bytes come from, `layers` are read once, `catalogers` find
packages in files, `inspectors` find secrets and malware, `reading` opens documents, archives and executables;
`advisories` are what is known to be wrong.
"""
