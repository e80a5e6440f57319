"""A package by name: one of the development needs installs a package `tests` of its own, which must not shadow it."""
