"""`python -m keras_vaegan.app`: the command of `commands/app.py`."""

from keras_vaegan.commands.app import main

if __name__ == "__main__":
    raise SystemExit(main())
