"""Facebook, Instagram and Threads, told by webhooks."""
