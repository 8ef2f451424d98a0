"""`python -m keras_vaegan.enhance`: the command of `commands/enhance.py`."""

from keras_vaegan.commands.enhance import main

if __name__ == "__main__":
    raise SystemExit(main())
