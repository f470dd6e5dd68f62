"""LinkedIn: notifications that it sends to an address of ours."""
