"""What both sides know of Bluesky: how its names and app passwords are written. Asking it is the worker's."""
