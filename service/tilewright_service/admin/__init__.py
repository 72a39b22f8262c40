"""What an operator does: the commands of `tilewright admin`, one module each."""
