"""`python -m pipeline` is `earshot`."""

from pipeline.cli.main import main

if __name__ == "__main__":
    main(prog_name="earshot")
