"""What `framedaemon plugin new` writes: a plugin of each kind, with its tests, that works as it stands.

These files are copied, and ``yours``, ``Yours`` and ``framedaemon.yours.KIND`` become names that the author chose. So
each says what its author needs to know, imports what a stranger may, and is checked like all others.
Nothing of framedaemon imports them.
"""
