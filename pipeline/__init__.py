"""The pipeline: mentions in, department topics and alerts out."""
