"""Instruction sets: what a path is, its dot product, its vectors, its assembly; and which this host has."""
