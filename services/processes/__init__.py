"""The services as processes of their own, which meet each other over gRPC."""
