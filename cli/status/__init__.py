"""`connector status`: how the service stands, on one screen.

snapshot   what is read, from the tables and from Redis
picture    a snapshot as people see it
facts      a snapshot as JSON
watching   one picture after the other
"""
