"""`python -m netdistance`."""

from netdistance.cli import main

if __name__ == "__main__":
    main()
