"""What is not as usual in a series of numbers, row by row."""
