"""What API and workers share of Celery: the way to the broker, sending, and how many messages lie there."""
