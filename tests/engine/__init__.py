"""The engine with real schedulers and workers; what runs on them stands in for attempts."""
