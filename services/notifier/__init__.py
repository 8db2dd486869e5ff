"""The notifier: owns targets, notifications and deliveries; tells people and machines what happened, once.

Consumes `drydock.scan.events.v1`. Its tables live in the schema `notifier`.
"""
