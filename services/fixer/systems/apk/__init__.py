"""apk: Alpine's package manager, and Wolfi's and Chainguard's (apk-tools 2 and 3, packages of format 2)."""
