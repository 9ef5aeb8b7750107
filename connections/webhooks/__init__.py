"""Webhooks: what other systems are told of an account or a batch, and how it reaches them.

contract   what callers send and get
intake     from the bytes of a request to a command
urls       which addresses may be told
secrets    what signs a delivery
service    what the API does
delivering what a worker does to the tables
"""
