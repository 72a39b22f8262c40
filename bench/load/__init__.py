"""Load on a service of its own: how much it takes, how soon it answers, and what it does with too much."""
