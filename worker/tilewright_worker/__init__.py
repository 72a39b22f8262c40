"""An attempt: search, build, measure, verify, report. And what machine this is."""
