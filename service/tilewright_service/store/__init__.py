"""The truth: jobs, attempts, records, schedules, events. All SQL lives here."""
