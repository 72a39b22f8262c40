"""What the process of an attempt says by its end where it cannot say it to the service."""

OF_MOMENT = 75
"""The service was away, or the attempt's authority is gone: nobody is to blame."""

OF_HOST = 71
"""Something ails the host."""
