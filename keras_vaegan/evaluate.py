"""`python -m keras_vaegan.evaluate`: the command of `commands/evaluate.py`."""

from keras_vaegan.commands.evaluate import main

if __name__ == "__main__":
    raise SystemExit(main())
