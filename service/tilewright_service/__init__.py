"""The service: app, store, dispatcher. It never imports tvm."""
