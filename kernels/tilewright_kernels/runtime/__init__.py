"""From a schedule to a kernel that a person calls: building, lowering, threads."""
