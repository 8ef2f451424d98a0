"""`python -m keras_vaegan.prepare`: the command of `commands/prepare.py`."""

from keras_vaegan.commands.prepare import main

if __name__ == "__main__":
    raise SystemExit(main())
