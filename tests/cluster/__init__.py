"""The test bench of faults: real services, schedulers, workers and databases, and what they do when one of them fails.

python -m tests.cluster --list
python -m tests.cluster --scenario frozen_worker --times 3 --seed 7 --database postgresql
"""
