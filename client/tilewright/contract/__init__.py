"""What client, service and workers say to each other; only pydantic and the standard library.

Messages are imported from the module that they stand in: `from tilewright.contract.jobs import Job`.
"""
