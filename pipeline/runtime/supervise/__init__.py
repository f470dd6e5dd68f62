"""`earshot up`: every role as a child process, restarted when it ends, shown on one screen."""
