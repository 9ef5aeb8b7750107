"""The command line, `connector`.

Each module declares the commands of one group and imports what they run only when they run, so that `--help` is quick.
"""
