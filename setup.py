"""What setup.cfg cannot say: `find:`, and the folder `weights` as one package more."""

from setuptools import find_packages, setup

setup(packages=[*find_packages(include=["keras_vaegan*"]), "keras_vaegan.pretrained"])
