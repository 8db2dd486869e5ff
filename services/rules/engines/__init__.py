"""Engines of an instance: what each needs, who allowed it, and which one scans."""
