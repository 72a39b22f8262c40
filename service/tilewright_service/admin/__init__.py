"""`tilewright admin`: what keeps a database going for years. One module a command."""
