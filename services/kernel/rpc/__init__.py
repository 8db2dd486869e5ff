"""gRPC as every service speaks it: errors, deadlines and request ids in one place."""
