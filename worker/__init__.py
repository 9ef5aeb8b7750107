"""Performs what the API accepted: Celery workers that connect accounts and the beat that keeps them going."""
