"""Grouped convolutions of few channels a group, and depthwise ones with a rich epilogue."""
