"""`python -m keras_vaegan.calibrate`: the command of `commands/calibrate.py`."""

from keras_vaegan.commands.calibrate import main

if __name__ == "__main__":
    raise SystemExit(main())
