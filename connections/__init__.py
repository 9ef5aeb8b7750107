"""The domain that the API and the workers share.

Knows no HTTP framework, no queue and no platform SDK; `make imports` holds it to that.
"""
