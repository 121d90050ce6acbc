"""What pyproject.toml cannot say: beside the packages that are found, the wheel has conf/ as lid_vae.conf."""

from setuptools import find_namespace_packages, setup

PACKAGES = find_namespace_packages(include=["lid_vae*", "hydra_plugins*"], exclude=["*.__pycache__"])

setup(packages=[*PACKAGES, "lid_vae.conf"])
