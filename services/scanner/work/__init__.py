"""The work on scans: leases, and where their content is pulled from."""
