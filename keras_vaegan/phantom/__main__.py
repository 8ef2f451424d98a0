"""`python -m keras_vaegan.phantom`: the command of `commands/phantom.py`."""

from keras_vaegan.commands.phantom import main

if __name__ == "__main__":
    raise SystemExit(main())
