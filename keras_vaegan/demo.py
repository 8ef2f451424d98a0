"""`python -m keras_vaegan.demo`: the command of `commands/demo.py`."""

from keras_vaegan.commands.demo import main

if __name__ == "__main__":
    raise SystemExit(main())
