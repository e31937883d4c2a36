"""One small process that shows Prometheus, and people, what the monitoring store says."""
