"""Reviews of places on Tripadvisor."""
