"""Every metric that the processes expose, and its labels.

A histogram stands here by its own name; Prometheus sees its `_bucket`, `_sum` and `_count`.
"""

OF_API = {
    "connector_http_requests_total": {"method", "route", "status"},
    "connector_waiting_callers": set[str](),
    "connector_batch_listeners": set[str](),
    "connector_requests_refused_total": {"reason"},
    "connector_queue_age_seconds": set[str](),
    "connector_thread_calls": {"pool"},
}

OF_WORKERS = {
    "connector_attempts_total": {"platform", "cause"},
    "connector_retries_total": {"platform", "cause"},
    "connector_upstream_requests_total": {"host_class", "status"},
    "connector_circuits_open": {"platform", "kind"},
    "connector_leases_lost_total": set[str](),
    "connector_refreshes_total": {"platform", "outcome"},
    "connector_tasks_swept_total": {"queue"},
    "connector_webhook_attempts_total": {"outcome"},
    "connector_webhook_dead_letters_total": set[str](),
    "connector_sessions_ended_total": {"platform", "outcome"},
    "connector_host_budget_left": {"host"},
    "connector_host_wait_seconds": {"host"},
    "connector_threads_busy": set[str](),
    "connector_threads": set[str](),
}

OF_BEAT = {
    "connector_beat_ticks_total": {"task"},
    "connector_tasks_in_flight": {"queue", "status"},
    "connector_oldest_task_seconds": {"queue"},
    "connector_queue_messages": {"queue"},
    "connector_batches_running": set[str](),
    "connector_sessions_to_end": set[str](),
    "connector_batch_rows": {"state"},
    "connector_webhook_oldest_seconds": set[str](),
    "connector_refresh_overdue_seconds": set[str](),
    "connector_workers": set[str](),
    "connector_worker_threads": set[str](),
}

# Also of workers.
OF_DATABASE = {"connector_database_connections": {"state"}}

OF_ALL = {
    "connector_build_info": {"version", "process"},
    # of prometheus_client's ProcessCollector
    "process_cpu_seconds_total": set[str](),
    "process_resident_memory_bytes": set[str](),
    "process_open_fds": set[str](),
}

COUNTERS_AND_GAUGES: dict[str, set[str]] = {**OF_API, **OF_WORKERS, **OF_BEAT, **OF_DATABASE, **OF_ALL}

HISTOGRAMS_OF_API = {"connector_http_request_seconds": {"method", "route"}}

HISTOGRAMS_OF_WORKERS = {
    "connector_task_wait_seconds": {"platform"},
    "connector_attempt_seconds": {"platform"},
    "connector_upstream_seconds": {"host_class"},
}

HISTOGRAMS = {**HISTOGRAMS_OF_API, **HISTOGRAMS_OF_WORKERS}

# What Prometheus adds itself.
OF_TARGETS = {"job", "instance"}


def series() -> dict[str, set[str]]:
    """Everything that an expression may name, `up` included, with all labels it may name."""
    plain = {**COUNTERS_AND_GAUGES, "up": set[str]()}
    buckets = {f"{name}_bucket": {*labels, "le"} for name, labels in HISTOGRAMS.items()}
    sums = {f"{name}_{end}": labels for name, labels in HISTOGRAMS.items() for end in ("sum", "count")}
    return {name: labels | OF_TARGETS for name, labels in {**plain, **buckets, **sums}.items()}
