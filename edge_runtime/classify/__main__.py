"""`python -m edge_runtime.classify`."""

from .cli import main

if __name__ == "__main__":
    main()
