"""Delivers what webhooks are to be told. ADR 31.

message    what is sent: one body and its headers
sending    one attempt, and what its end means
turns      which webhook's turn it is
delivering a run: some seconds of attempts
"""
