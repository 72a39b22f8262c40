"""Instruction sets: what a path is, in one file per architecture; its vectors, intrinsics and assembly; this host."""
