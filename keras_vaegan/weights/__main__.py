"""`python -m keras_vaegan.weights`: the command of `commands/weights.py`."""

from keras_vaegan.commands.weights import main

if __name__ == "__main__":
    raise SystemExit(main())
