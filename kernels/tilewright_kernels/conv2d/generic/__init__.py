"""Any convolution, by MetaSchedule's own space."""
