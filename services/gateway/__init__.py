"""The one door: gRPC for people and programs, webhooks for registries, keys for both. No business rule."""
