"""`connector doctor`: what is wrong with this service, a line each.

findings   what a check says: a verdict, what was found, what to do
subject    what is looked at: settings, database, Redis, the way out
examining  one check after the other, each with a deadline; the failures of libraries in one line
visit      the settings, and then everything that they name
checks     the table of all checks; `storage`, `queue`, `network`, `secrets` are what is in it
report     findings as lines and as JSON
"""
