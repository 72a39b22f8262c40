"""What is known of workloads themselves: those of well-known networks, and which are alike. Plain pydantic."""
