"""The way of one fix: read, plan, fetch, build, push, prove. Each step is a file of `steps`, `publish` or `proof`."""

from __future__ import annotations
