"""Webhooks: what other systems are told of an account or a batch, and how it reaches them.

contract   what callers send and get
intake     from the bytes of a request to a command
urls       which addresses may be told
secrets    what signs a delivery
service    what the API does
replaying  sends again what has ended
patience   how long a delivery waits, and a receiver that fails
delivering what a worker does to the tables
"""
