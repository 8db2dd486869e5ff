"""Worker processes: hostile bytes are parsed there, under limits, and can be killed."""
